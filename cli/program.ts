import { Arguments, parseArguments, type OptionSpecs } from './arguments.ts';
import type { Command } from './command.ts';
import { commands } from './commands/registry.ts';
import { connect, type Host } from './connect.ts';
import { exitStatus, toCliError, usageError } from './errors.ts';
import { formatFrom, globalOptions, outputOption } from './global-options.ts';
import { commandHelp, programHelp } from './help.ts';
import { nearest } from './nearest.ts';
import { printable } from './output/printable.ts';

const isOption = (word: string): boolean => word.startsWith('-') && word !== '-';

/** Options that may stand before the verb, with their values. */
const leadingOptions = (words: readonly string[]): number => {
  let at = 0;
  for (let word = words[at]; word !== undefined && isOption(word); word = words[at]) {
    const spec = Object.entries(globalOptions).find(
      ([name, { short }]) => word === `--${name}` || word === `-${short ?? ''}`,
    );
    at += spec?.[1].type === 'string' ? 2 : 1;
  }
  return at;
};

interface Call {
  readonly command: Command;
  /** Words without the verb. */
  readonly rest: readonly string[];
}

const matches = (command: Command, words: readonly string[]): boolean =>
  command.name.split(' ').every((part, index) => words[index] === part);

const unknownCommand = (program: string, words: readonly string[]): Error => {
  const names = commands.map(({ name }) => name);
  const pair = words.slice(0, 2).join(' ');
  const family = names.filter((name) => name.startsWith(`${words[0]} `));
  const guess = family[0] ?? nearest(pair, names) ?? nearest(words[0] ?? '', [...names, 'help']);
  return usageError(
    `There is no command "${family.length > 0 ? pair : (words[0] ?? '')}".`,
    guess === undefined
      ? `See \`${program} help\`.`
      : `Did you mean \`${program} ${guess}\`? See \`${program} help\`.`,
  );
};

/** @throws CliError Usage */
const findCall = (program: string, words: readonly string[]): Call => {
  const at = leadingOptions(words);
  const verb = words.slice(at);
  const command = commands.find((each) => matches(each, verb));
  if (!command)
    throw unknownCommand(
      program,
      verb.filter((word) => !isOption(word)),
    );
  return { command, rest: [...words.slice(0, at), ...verb.slice(command.name.split(' ').length)] };
};

const checkOperands = (program: string, { name, operands, arity }: Command, args: Arguments): void => {
  const [least, most] = arity;
  const count = args.positionals.length;
  const usage = `Write \`${[program, name, operands].filter((word) => word !== '').join(' ')}\`; see \`${program} help ${name}\`.`;
  if (count < least) throw usageError(`"${name}" needs ${operands}.`, usage);
  if (count > most)
    throw usageError(`"${args.positionals[most] ?? ''}" is one word too many for "${name}".`, usage);
};

/** `help`, `help VERB`, `--help`, or nothing at all; undefined when a verb is to be run. */
const helpFor = (program: string, words: readonly string[]): string | undefined => {
  const [first, ...rest] = words;
  if (first === undefined || (words.length === 1 && ['-h', '--help'].includes(first)))
    return programHelp(program, commands);
  if (first !== 'help') return undefined;
  return rest.length === 0
    ? programHelp(program, commands)
    : commandHelp(program, findCall(program, rest).command);
};

const call = async (host: Host, { command, rest }: Call): Promise<number> => {
  const { program } = host;
  const specs: OptionSpecs = { ...globalOptions, ...command.options, ...outputOption(command.formats) };
  const args = parseArguments(rest, specs, `${program} help ${command.name}`);
  if (args.flag('help')) {
    await host.out.write(commandHelp(program, command));
    return exitStatus.ok;
  }
  checkOperands(program, command, args);
  const context = connect(host, args, formatFrom(args, command));
  try {
    return await command.run(context, args);
  } finally {
    await context.close();
  }
};

/** The reader of our output has gone, as with `| head`: nothing is wrong. */
const isClosedPipe = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'EPIPE';

/** Carries out a command line. Resolves with the exit status; failures are printed, never thrown. */
export const runProgram = async (host: Host, words: readonly string[]): Promise<number> => {
  try {
    const help = helpFor(host.program, words);
    if (help === undefined) return await call(host, findCall(host.program, words));
    await host.out.write(help);
    return words.length === 0 ? exitStatus.usage : exitStatus.ok;
  } catch (error) {
    if (isClosedPipe(error)) return exitStatus.ok;
    if (host.interrupted.aborted) return exitStatus.interrupted;
    const { code, message, action, exitCode } = toCliError(error);
    const { style } = host.err;
    const next = action === '' ? '' : `  → ${printable(action)}\n`;
    await host.err
      .write(`${style.red('error')} ${code}: ${printable(message)}\n${next}`)
      .catch(() => undefined);
    return exitCode;
  }
};
