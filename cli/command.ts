import type { Arguments, OptionSpecs } from './arguments.ts';
import type { Context } from './context.ts';

export interface Example {
  readonly what: string;
  /** Words after the program's name. */
  readonly words: string;
}

/** One verb of the program. */
export interface Command {
  /** One word, or two such as `runner token`. */
  readonly name: string;
  readonly summary: string;
  /** What follows the name in the usage line, besides options. */
  readonly operands: string;
  /** How many operands it takes, at least and at most. */
  readonly arity: readonly [number, number];
  readonly description: string;
  readonly examples: readonly Example[];
  readonly options: OptionSpecs;
  /** Formats that `-o` takes here; none when there is nothing to format. */
  readonly formats: readonly OutputFormat[];
  /** Resolves with the exit status. */
  readonly run: (context: Context, args: Arguments) => Promise<number>;
}

export const outputFormats = ['json', 'yaml', 'wide', 'name'] as const;
export type OutputFormat = (typeof outputFormats)[number];
