import { parseArgs } from 'node:util';
import { usageError } from './errors.ts';
import { nearest } from './nearest.ts';

export interface OptionSpec {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  readonly multiple?: boolean;
  /** What stands for the value in help texts. */
  readonly value?: string;
  readonly help: string;
}
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** The words of a command line, sorted. */
export class Arguments {
  readonly positionals: readonly string[];
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(positionals: readonly string[], values: ReadonlyMap<string, readonly string[]>) {
    this.positionals = positionals;
    this.#values = values;
  }

  /** The last value of an option, as later words win. */
  text(name: string): string | undefined {
    return this.#values.get(name)?.at(-1);
  }

  /** Every value of an option that may be repeated. */
  list(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  flag(name: string): boolean {
    return this.#values.has(name);
  }

  /** @throws CliError Usage when it is no whole number of at least `least`. */
  count(name: string, least: number): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
    throw usageError(`--${name} is "${text}".`, `Give a whole number, ${least} or more.`);
  }

  /** @throws CliError Usage when it is no whole number from `least` to `most`. */
  integer(name: string, least: number, most: number): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (/^[+-]?\d+$/.test(text) && value >= least && value <= most) return value;
    throw usageError(`--${name} is "${text}".`, `Give a whole number from ${least} to ${most}.`);
  }
}

const unknownOption = (raw: string, specs: OptionSpecs, help: string): Error => {
  const guess = raw.startsWith('--') ? nearest(raw.slice(2), Object.keys(specs)) : undefined;
  return usageError(
    `There is no option ${raw}.`,
    guess === undefined ? `See \`${help}\`.` : `Did you mean --${guess}? See \`${help}\`.`,
  );
};

type Token = NonNullable<ReturnType<typeof parseArgs>['tokens']>[number];
type OptionToken = Extract<Token, { kind: 'option' }>;

const isOptionWord = (word: string, specs: OptionSpecs): boolean =>
  word.startsWith('--')
    ? Object.hasOwn(specs, word.slice(2).split('=')[0] ?? '')
    : /^-[A-Za-z]$/.test(word) && Object.values(specs).some((spec) => spec.short === word[1]);

const valueOf = (token: OptionToken, spec: OptionSpec, specs: OptionSpecs): string => {
  const { rawName, value, inlineValue } = token;
  if (spec.type === 'boolean') {
    if (value === undefined) return '';
    throw usageError(`${rawName} takes no value, but was given "${value}".`, `Write ${rawName} alone.`);
  }
  if (value === undefined || (!inlineValue && isOptionWord(value, specs)))
    throw usageError(`${rawName} has no value.`, `Write ${rawName} ${spec.value ?? 'VALUE'}.`);
  return value;
};

/**
 * Options anywhere, `--` ends them. `help` is the command that explains them.
 * @throws CliError Usage
 */
export const parseArguments = (words: readonly string[], specs: OptionSpecs, help: string): Arguments => {
  const options = Object.fromEntries(
    Object.entries(specs).map(([name, { type, short }]) => [
      name,
      { type, multiple: true, ...(short === undefined ? {} : { short }) },
    ]),
  );
  const { tokens } = parseArgs({ args: [...words], options, strict: false, tokens: true });
  const positionals: string[] = [];
  const values = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const spec = Object.hasOwn(specs, token.name) ? specs[token.name] : undefined;
    if (!spec) throw unknownOption(token.rawName, specs, help);
    const value = valueOf(token, spec, specs);
    values.set(token.name, [...(spec.multiple ? (values.get(token.name) ?? []) : []), value]);
  }
  return new Arguments(positionals, values);
};
