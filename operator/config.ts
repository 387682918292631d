import { parseArgs } from 'node:util';
import { durationMs, defaults } from './runs/durations.ts';

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
  readonly unknownGraceMs: number;
  readonly queueTimeoutMs: number;
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
  'unknown-grace': ['', 'How long a lost attempt stays Unknown before its policy acts, such as 15m.'],
  'queue-timeout': ['', 'How long a step waits for a runner, such as 1h.'],
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

const duration = (text: string, flag: Flag, absent: number): number => {
  if (text === '') return absent;
  if (/^([0-9]+(ms|s|m|h))+$/.test(text)) return durationMs(text);
  throw new UsageError(`--${flag} ${text} is not a duration; write it like 15m or 1h30m.`);
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
    unknownGraceMs: duration(read('unknown-grace'), 'unknown-grace', defaults.unknownGraceMs),
    queueTimeoutMs: duration(read('queue-timeout'), 'queue-timeout', defaults.queueTimeoutMs),
    logLevel: read('log-level'),
  };
};
