import { parseArgs } from 'node:util';
import { durationMs } from './runs/durations.ts';
import {
  defaultOperatorTimes,
  timeFlags,
  timesProblem,
  type OperatorTimes,
  type TimeFlag,
} from './time-flags.ts';

/** What the operator is told at its start. Every flag can be given as OUTRIDER_ and its name in capitals, too. */
export interface OperatorConfig {
  readonly namespace: string;
  readonly dataDir: string;
  readonly host: string;
  readonly runnerApiPort: number;
  readonly runnerApiUrl: string;
  readonly portalPort: number;
  readonly portalUrl: string;
  readonly metricsPort: number;
  readonly tlsNames: readonly string[];
  readonly tlsFiles:
    | { readonly keyFile: string; readonly certFile: string; readonly caFile: string }
    | undefined;
  readonly issuer: string;
  readonly identity: string;
  readonly times: OperatorTimes;
  readonly queueTimeoutMs: number;
  /** Most attempts of one namespace at a time; undefined for no limit. */
  readonly namespaceConcurrency: number | undefined;
  readonly maxLogBytes: number;
  /** postgres://…; undefined for SQLite in dataDir. */
  readonly ledgerUrl: string | undefined;
  readonly logLevel: string;
}

const flags = {
  namespace: [
    'outrider-system',
    'Namespace of the operator itself: its Lease, keys and the ConfigMap outrider-portal.',
  ],
  'data-dir': ['/var/lib/outrider', 'Folder of the ledger and the logs; needs a disk that honours fsync.'],
  host: ['0.0.0.0', 'Address to listen on.'],
  'runner-api-port': ['8443', 'Port of the runner API.'],
  'runner-api-url': ['', 'URL under which runners reach it; https://localhost:PORT when empty.'],
  'portal-port': ['8444', 'Port of the portal.'],
  'portal-url': ['', 'URL under which people reach it; https://localhost:PORT when empty.'],
  'metrics-port': ['9090', 'Port of /metrics, /healthz and /readyz (plain HTTP).'],
  'tls-names': [
    'localhost,127.0.0.1',
    'DNS names and IP addresses of the server certificate, besides those of the URLs.',
  ],
  'tls-key-file': ['', "Server's key (PEM). With the two below it replaces the operator's own CA."],
  'tls-cert-file': ['', "Server's certificate chain (PEM)."],
  'tls-ca-file': ['', 'Certificate of the CA that runners shall pin (PEM).'],
  issuer: ['', 'iss of the tokens that the operator signs for Vault; the portal URL when empty.'],
  identity: ['', "Name of this replica in the Lease; the pod's name, or host and process id, when empty."],
  'ledger-url': [
    '',
    'postgres://… of the ledger (OUTRIDER_LEDGER_URL keeps its password out of ps); SQLite when empty.',
  ],
  lease: ['90s', 'What a runner holds is its own for so long after it last said that it holds it.'],
  'poll-time': ['20s', 'How long a poll of a runner is held; at most a third of the lease.'],
  'offer-time': ['10s', 'How long an offer stands before the work goes back to the queue.'],
  'unknown-grace': ['15m', "How long a lost attempt stays Unknown before its step's onLost acts."],
  'kill-grace': [
    '30s',
    'From the end of a lease to a retry: until then the runner has ended its own work, which takes up to 10 s.',
  ],
  'online-time': ['45s', 'Silence after which a runner is Degraded.'],
  'offline-time': ['2m', 'Silence after which a runner is Offline.'],
  'settle-time': ['30s', 'How long runners may take to come back after a start of the operator.'],
  'leader-lease': ['15s', 'Another replica may lead when the Lease was not renewed for so long.'],
  'queue-timeout': ['1h', 'How long a step waits for a runner.'],
  'namespace-concurrency': ['0', 'Most attempts of one namespace at a time; 0 for no limit.'],
  'max-log-mib': ['4096', "Most of one attempt's output that is kept, in MiB; the rest is refused."],
  'log-level': ['info', 'debug, info, warn or error.'],
} as const satisfies Readonly<Record<string, readonly [string, string]>>;

type Flag = keyof typeof flags;

export const help = (): string =>
  [
    'outrider-operator: reconciles Outrider resources and serves runners and the portal.',
    '',
    ...Object.entries(flags).map(
      ([name, [value, text]]) => `  --${name.padEnd(18)} ${text}${value === '' ? '' : ` [${value}]`}`,
    ),
    '',
    'The kubeconfig is found as kubectl finds it; in a pod the ServiceAccount is used.',
  ].join('\n');

const variable = (flag: string): string => `OUTRIDER_${flag.toUpperCase().replaceAll('-', '_')}`;

const nameOf = (url: string): string => new URL(url).hostname.replace(/^\[|\]$/g, '');

const port = (text: string, flag: Flag): number => {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0 && value <= 65_535) return value;
  throw new UsageError(`--${flag} ${text} is not a port (0 to 65535).`);
};

const duration = (text: string, flag: Flag): number => {
  if (/^([0-9]+(ms|s|m|h))+$/.test(text)) return durationMs(text);
  throw new UsageError(`--${flag} ${text} is not a duration; write it like 15m or 1h30m.`);
};

const count = (text: string, flag: Flag): number => {
  const value = Number(text);
  if (text !== '' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new UsageError(`--${flag} ${text} is not a whole number; 0 stands for no limit.`);
};

const mebibytes = (text: string, flag: Flag): number => {
  const value = Number(text);
  if (text !== '' && Number.isSafeInteger(value) && value >= 1 && value <= 1_048_576)
    return value * 1_048_576;
  throw new UsageError(`--${flag} ${text} is not a number of MiB from 1 to 1048576.`);
};

const ledgerUrl = (text: string): string | undefined => {
  if (text === '') return undefined;
  // Never echoed: it may hold a password.
  if (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text)) return text;
  throw new UsageError(
    '--ledger-url is not a URL of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE; leave it empty for SQLite.',
  );
};

/** Thrown for flags that cannot be understood. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

type Environment = Readonly<Record<string, string | undefined>>;

const readFlags = (args: readonly string[], env: Environment): ((flag: Flag) => string) => {
  const options = Object.fromEntries(Object.keys(flags).map((name) => [name, { type: 'string' as const }]));
  let values: Readonly<Record<string, unknown>>;
  try {
    ({ values } = parseArgs({ args: [...args], options, allowPositionals: false }));
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
  return (flag) => {
    const given = values[flag];
    return typeof given === 'string' ? given : (env[variable(flag)] ?? flags[flag][0]);
  };
};

const tlsFilesOf = (read: (flag: Flag) => string): OperatorConfig['tlsFiles'] => {
  const files = {
    keyFile: read('tls-key-file'),
    certFile: read('tls-cert-file'),
    caFile: read('tls-ca-file'),
  };
  const given = Object.values(files).filter((file) => file !== '').length;
  if (given === 0) return undefined;
  if (given === 3) return files;
  throw new UsageError(
    '--tls-key-file, --tls-cert-file and --tls-ca-file belong together: give all three or none.',
  );
};

const timesOf = (read: (flag: Flag) => string): OperatorTimes => {
  const given = Object.entries(timeFlags).map(([flag, time]) => [
    time,
    duration(read(flag as TimeFlag), flag as TimeFlag),
  ]);
  const times: OperatorTimes = { ...defaultOperatorTimes, ...Object.fromEntries(given) };
  const problem = timesProblem(times);
  if (problem !== undefined) throw new UsageError(problem);
  return times;
};

/** Flags before environment before defaults. @throws UsageError */
export const readConfig = (args: readonly string[], env: Environment): OperatorConfig => {
  const read = readFlags(args, env);
  const runnerApiPort = port(read('runner-api-port'), 'runner-api-port');
  const portalPort = port(read('portal-port'), 'portal-port');
  const runnerApiUrl = read('runner-api-url') || `https://localhost:${runnerApiPort}`;
  const portalUrl = read('portal-url') || `https://localhost:${portalPort}`;
  const names = [...read('tls-names').split(','), nameOf(runnerApiUrl), nameOf(portalUrl)];
  return {
    namespace: read('namespace'),
    dataDir: read('data-dir'),
    host: read('host'),
    runnerApiPort,
    runnerApiUrl,
    portalPort,
    portalUrl,
    metricsPort: port(read('metrics-port'), 'metrics-port'),
    tlsNames: [...new Set(names.map((name) => name.trim()).filter((name) => name !== ''))],
    tlsFiles: tlsFilesOf(read),
    issuer: read('issuer') || portalUrl,
    identity: read('identity') || (env['POD_NAME'] ?? `${env['HOSTNAME'] ?? 'operator'}-${process.pid}`),
    times: timesOf(read),
    queueTimeoutMs: duration(read('queue-timeout'), 'queue-timeout'),
    namespaceConcurrency: count(read('namespace-concurrency'), 'namespace-concurrency') || undefined,
    maxLogBytes: mebibytes(read('max-log-mib'), 'max-log-mib'),
    ledgerUrl: ledgerUrl(read('ledger-url')),
    logLevel: read('log-level'),
  };
};
