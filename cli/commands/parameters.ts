import type { Parameter } from '@outrider/kinds';
import { CliError, usageError } from '../errors.ts';

export type ParameterValue = string | number | boolean;

/** `-p NAME=VALUE` words. @throws CliError Usage */
export const parseAssignments = (words: readonly string[]): Map<string, string> => {
  const given = new Map<string, string>();
  for (const word of words) {
    const at = word.indexOf('=');
    if (at < 1) throw usageError(`-p "${word}" is not NAME=VALUE.`, 'Write it like -p env=Prod.');
    const name = word.slice(0, at);
    if (given.has(name)) throw usageError(`The parameter "${name}" is given twice.`, 'Give it once.');
    given.set(name, word.slice(at + 1));
  }
  return given;
};

const number = (text: string, shape: RegExp, accepts: (value: number) => boolean): number | undefined => {
  const value = Number(text);
  return shape.test(text) && accepts(value) ? value : undefined;
};

type ParameterType = NonNullable<Parameter['type']>;

const parsers: Readonly<Record<ParameterType, (text: string) => ParameterValue | undefined>> = {
  String: (text) => text,
  Integer: (text) => number(text, /^[+-]?\d+$/, Number.isSafeInteger),
  Number: (text) => number(text, /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/, Number.isFinite),
  Boolean: (text) => (text === 'true' ? true : text === 'false' ? false : undefined),
};

const examples: Readonly<Record<ParameterType, string>> = {
  String: 'text',
  Integer: 'a whole number, such as 10',
  Number: 'a number, such as 2.5',
  Boolean: 'true or false',
};

interface Judged {
  readonly value?: ParameterValue;
  readonly problem?: string;
}

const judge = (parameter: Parameter, text: string | undefined): Judged => {
  const { name, type = 'String', required, options } = parameter;
  if (text === undefined)
    return required ? { problem: `parameter "${name}" is required (-p ${name}=…)` } : {};
  const value = parsers[type](text);
  if (value === undefined)
    return { problem: `parameter "${name}" is of type ${type} and needs ${examples[type]}, not "${text}"` };
  if (options && !options.includes(`${value}`))
    return { problem: `parameter "${name}" must be one of ${options.join(', ')}, not "${text}"` };
  return { value };
};

/** Types what was given as the workflow declares it. @throws CliError InvalidParameters, which names everything wrong. */
export const typeParameters = (
  { namespace, workflow }: { readonly namespace: string; readonly workflow: string },
  declared: readonly Parameter[],
  given: ReadonlyMap<string, string>,
): Readonly<Record<string, ParameterValue>> => {
  const names = declared.map(({ name }) => name);
  const problems = [...given.keys()]
    .filter((name) => !names.includes(name))
    .map(
      (name) =>
        `the workflow has no parameter "${name}" (${names.length === 0 ? 'it has none' : `it has ${names.join(', ')}`})`,
    );
  const values: Record<string, ParameterValue> = {};
  for (const parameter of declared) {
    const { value, problem } = judge(parameter, given.get(parameter.name));
    if (problem !== undefined) problems.push(problem);
    if (value !== undefined) values[parameter.name] = value;
  }
  if (problems.length === 0) return values;
  throw new CliError({
    code: 'InvalidParameters',
    message: `Workflow "${workflow}" was not started: ${problems.join('; ')}.`,
    action: `Correct the -p options. \`kubectl -n ${namespace} get workflow ${workflow} -o yaml\` shows spec.parameters.`,
  });
};
