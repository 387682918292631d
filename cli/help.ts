import type { OptionSpec, OptionSpecs } from './arguments.ts';
import type { Command } from './command.ts';
import { globalOptions, outputOption } from './global-options.ts';

const row = (left: string, right: string): string =>
  left.length > 28 ? `  ${left}\n  ${' '.repeat(30)}${right}` : `  ${left.padEnd(30)}${right}`;

const optionRow = ([name, { short, value, help }]: readonly [string, OptionSpec]): string =>
  row(
    `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`,
    help,
  );

const optionRows = (specs: OptionSpecs): readonly string[] => Object.entries(specs).map(optionRow);

/** What the program is and which verbs it has. */
export const programHelp = (program: string, commands: readonly Command[]): string =>
  [
    'Start, watch and cancel Outrider runs, and see the runners that execute them.',
    '',
    `Usage: ${program} COMMAND [OPTION…]`,
    '',
    'Commands',
    ...commands.map(({ name, operands, summary }) =>
      row(operands === '' ? name : `${name} ${operands}`, summary),
    ),
    row('help [COMMAND]', 'Explain a command, with examples.'),
    '',
    'Options of every command',
    ...optionRows(globalOptions),
    '',
    'Environment',
    row('KUBECONFIG', 'Files of the kubeconfig, merged as kubectl does.'),
    row('OUTRIDER_PORTAL_URL', 'As --portal.'),
    row('OUTRIDER_CA_FILE', 'As --portal-ca-file.'),
    row('HTTPS_PROXY, NO_PROXY', 'Proxy for all connections, and the hosts reached without it.'),
    row('NO_COLOR', 'Set: no colours, also on a terminal.'),
    '',
    'Exit status',
    '  0 done   1 failed or refused   2 wrong usage   3 the followed run was cancelled   130 Ctrl-C',
    '',
    'You are who your kubeconfig says: what kubectl may not do, this may not either.',
    '',
  ].join('\n');

/** One verb with its options and examples. */
export const commandHelp = (program: string, command: Command): string => {
  const { name, operands, summary, description, examples, options, formats } = command;
  const own = { ...options, ...outputOption(formats) };
  return [
    `${summary}.`,
    '',
    `Usage: ${[program, name, operands].filter((word) => word !== '').join(' ')} [OPTION…]`,
    '',
    description,
    '',
    'Examples',
    ...examples.flatMap(({ what, words }) => [`  # ${what}`, `  ${program} ${words}`]),
    '',
    ...(Object.keys(own).length === 0 ? [] : ['Options', ...optionRows(own), '']),
    'Options of every command',
    ...optionRows(globalOptions),
    '',
  ].join('\n');
};
