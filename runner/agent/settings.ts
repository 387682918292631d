import { OutriderError } from '@outrider/protocol';

export type SettingKind =
  | { readonly type: 'text' }
  | { readonly type: 'list' }
  | { readonly type: 'flag' }
  | { readonly type: 'integer'; readonly minimum: number; readonly maximum: number }
  | { readonly type: 'duration' }
  | { readonly type: 'choice'; readonly values: readonly string[] };

export interface Setting {
  /** Name of the command-line option without its dashes; the key of the file is the same in camelCase. */
  readonly flag: string;
  readonly env: string;
  readonly kind: SettingKind;
  /** Placeholder of the value in the help; absent for a flag. */
  readonly value?: string;
  readonly help: string;
}

/** Everything that can be set, in the order of the help. Precedence: option, environment, file, default. */
export const settings = {
  url: {
    flag: 'url',
    env: 'OUTRIDER_PORTAL_URL',
    kind: { type: 'text' },
    value: 'URL',
    help: 'Runner API of the operator, https://HOST:8443. Default: the URL in the registration token.',
  },
  name: {
    flag: 'name',
    env: 'OUTRIDER_RUNNER_NAME',
    kind: { type: 'text' },
    value: 'NAME',
    help: 'Name of the Runner resource. Default: this host’s name.',
  },
  tags: {
    flag: 'tags',
    env: 'OUTRIDER_RUNNER_TAGS',
    kind: { type: 'list' },
    value: 'TAG,…',
    help: 'Take only these of the tags that the token or the Runner resource permits. Default: all of them.',
  },
  tokenFile: {
    flag: 'token-file',
    env: 'OUTRIDER_RUNNER_TOKEN_FILE',
    kind: { type: 'text' },
    value: 'FILE',
    help: 'File with the registration token, when it is not in OUTRIDER_RUNNER_TOKEN.',
  },
  caFile: {
    flag: 'ca-file',
    env: 'OUTRIDER_CA_FILE',
    kind: { type: 'text' },
    value: 'FILE',
    help: 'PEM of the CA to trust instead of the one that the token pins.',
  },
  stateDir: {
    flag: 'state-dir',
    env: 'OUTRIDER_STATE_DIR',
    kind: { type: 'text' },
    value: 'DIR',
    help: 'Key, registration and journal. Default: /var/lib/outrider-runner for root, else $XDG_STATE_HOME/outrider-runner.',
  },
  capacity: {
    flag: 'capacity',
    env: 'OUTRIDER_CAPACITY',
    kind: { type: 'integer', minimum: 1, maximum: 1000 },
    value: 'N',
    help: 'Attempts at once. Default: four for each processor core.',
  },
  nodes: {
    flag: 'nodes',
    env: 'OUTRIDER_NODES',
    kind: { type: 'list' },
    value: 'TYPE,…',
    help: 'Permit only these node types. Default: all, local-exec only with --local-exec.',
  },
  localExec: {
    flag: 'local-exec',
    env: 'OUTRIDER_LOCAL_EXEC',
    kind: { type: 'flag' },
    help: 'Permit steps that run on this machine itself (Runner.spec.allow must permit them too). Default: off.',
  },
  knownHostsFile: {
    flag: 'known-hosts-file',
    env: 'OUTRIDER_KNOWN_HOSTS_FILE',
    kind: { type: 'text' },
    value: 'FILE',
    help: 'Host keys of SSH servers that neither the step nor a Target pins.',
  },
  kubeconfig: {
    flag: 'kubeconfig',
    env: 'OUTRIDER_KUBECONFIG',
    kind: { type: 'text' },
    value: 'FILE',
    help: 'Kubeconfig for kubectl-exec steps.',
  },
  kubeContexts: {
    flag: 'kube-contexts',
    env: 'OUTRIDER_KUBE_CONTEXTS',
    kind: { type: 'list' },
    value: 'CONTEXT,…',
    help: 'Contexts of that kubeconfig that steps may use. Default: none.',
  },
  kubectl: {
    flag: 'kubectl',
    env: 'OUTRIDER_KUBECTL',
    kind: { type: 'text' },
    value: 'PATH',
    help: 'The kubectl program. Default: kubectl, looked up in PATH.',
  },
  journalMiB: {
    flag: 'journal-mib',
    env: 'OUTRIDER_JOURNAL_MIB',
    kind: { type: 'integer', minimum: 16, maximum: 1_048_576 },
    value: 'N',
    help: 'Most disk space for the journal, in MiB. Default: 128 for each attempt at once, at least 1024.',
  },
  drainTimeout: {
    flag: 'drain-timeout',
    env: 'OUTRIDER_DRAIN_TIMEOUT',
    kind: { type: 'duration' },
    value: 'TIME',
    help: 'How long running work may go on after SIGTERM, such as 90s or 1h. Then what goes on without the runner is left to its next process, and the rest is ended. Default: 5m.',
  },
  logFormat: {
    flag: 'log-format',
    env: 'OUTRIDER_LOG_FORMAT',
    kind: { type: 'choice', values: ['text', 'json'] },
    value: 'FORMAT',
    help: 'text or json, on standard error. Default: text.',
  },
} as const satisfies Readonly<Record<string, Setting>>;

export type SettingName = keyof typeof settings;

export const configInvalid = (message: string, action: string): OutriderError =>
  new OutriderError({ code: 'ConfigInvalid', message, action });

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds of `1h30m`; undefined when it is no duration. */
export const parseDuration = (text: string): number | undefined => {
  if (!/^([0-9]+(ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, number = '', unit = ''] of text.matchAll(/([0-9]+)(ms|s|m|h)/g))
    total += Number(number) * (units[unit] ?? 0);
  return total;
};

const expected = (kind: SettingKind): string => {
  if (kind.type === 'integer') return `a whole number from ${kind.minimum} to ${kind.maximum}`;
  if (kind.type === 'choice') return `one of ${kind.values.join(', ')}`;
  const words = {
    text: 'a text',
    list: 'a list of texts',
    flag: 'true or false',
    duration: 'a duration such as 90s or 1h30m',
  };
  return words[kind.type];
};

const toList = (raw: unknown): string[] | undefined => {
  if (typeof raw === 'string')
    return raw
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
  if (Array.isArray(raw) && raw.every((item) => typeof item === 'string')) return raw;
  return undefined;
};

const toInteger = (raw: unknown, minimum: number, maximum: number): number | undefined => {
  const value = typeof raw === 'string' && raw.trim() !== '' ? Number(raw) : raw;
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= minimum && value <= maximum
    ? value
    : undefined;
};

const toFlag = (raw: unknown): boolean | undefined => {
  if (typeof raw === 'boolean') return raw;
  return raw === 'true' || raw === '1' ? true : raw === 'false' || raw === '0' ? false : undefined;
};

export type SettingValue = string | number | boolean | readonly string[];

const convert = (kind: SettingKind, raw: unknown): SettingValue | undefined => {
  if (kind.type === 'list') return toList(raw);
  if (kind.type === 'flag') return toFlag(raw);
  if (kind.type === 'integer') return toInteger(raw, kind.minimum, kind.maximum);
  if (typeof raw !== 'string' || raw === '') return undefined;
  if (kind.type === 'duration') return parseDuration(raw);
  return kind.type === 'text' || kind.values.includes(raw) ? raw : undefined;
};

/** @throws OutriderError ConfigInvalid that names where the value came from. */
export const readSetting = (kind: SettingKind, raw: unknown, source: string): SettingValue => {
  const value = convert(kind, raw);
  if (value !== undefined) return value;
  const shown = typeof raw === 'string' ? `"${raw}"` : JSON.stringify(raw);
  throw configInvalid(
    `${source} is ${shown}, which is not ${expected(kind)}.`,
    `Set it to ${expected(kind)}.`,
  );
};
