import { settings, type Setting } from './settings.ts';

const row = (left: string, right: string): string => `  ${left.padEnd(28)}${right}`;

const optionRows = (): string[] =>
  Object.entries<Setting>(settings).flatMap(([key, setting]) => [
    row(`--${setting.flag}${setting.value === undefined ? '' : ` ${setting.value}`}`, setting.help),
    row('', `Environment ${setting.env}, file ${key}.`),
  ]);

/** Enough to work from alone. */
export const helpText = (): string =>
  [
    'outrider-runner takes tasks from an Outrider operator and carries them out where it stands.',
    'It opens connections to the operator only; nothing connects to it.',
    '',
    'Usage: outrider-runner COMMAND [OPTION…]',
    '',
    'Commands',
    row('run', 'Take and execute tasks. Registers first when it has not yet and a token is given.'),
    row('register', 'Join: make a key, register its public half with a registration token, and end.'),
    row('version', 'Print the version.'),
    row('help', 'Print this.'),
    '',
    'To begin',
    '  1. Where kubectl works:   outrider runner token',
    '  2. On this machine:       OUTRIDER_RUNNER_TOKEN=… outrider-runner run',
    '  A token is used once, within an hour. The key stays in the state folder: later starts need no token.',
    '',
    'Options (an option wins over the environment, that over the file, that over the default)',
    row('--config FILE', 'YAML file with these settings by their file names. Environment OUTRIDER_CONFIG.'),
    ...optionRows(),
    row('--new-key', 'With register: make another key, a new identity.'),
    row('-h, --help', 'Print this.'),
    '',
    'Environment only',
    row(
      'OUTRIDER_RUNNER_TOKEN',
      'Registration token. It is no option: arguments can be read by every user of a machine.',
    ),
    row(
      'HTTPS_PROXY, NO_PROXY',
      'Proxy for connections to the operator and to Vault, and the hosts reached without it.',
    ),
    '',
    'Signals',
    '  SIGTERM or SIGINT   take nothing new, finish or hand over what runs (see --drain-timeout), report, end',
    '  once more           end what runs, report, end',
    '  a third time        end at once; what is unreported is reported at the next start',
    '',
    'Exit status',
    '  0 drained   1 error   2 wrong usage or configuration   3 revoked, or registration or protocol version refused',
    '',
  ].join('\n');
