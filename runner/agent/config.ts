import { readFile } from 'node:fs/promises';
import { availableParallelism, homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { definitions } from '@outrider/nodes';
import { proxyFromEnvironment, type ProxySettings } from './exchange.ts';
import type { LogFormat } from './log.ts';
import {
  configInvalid,
  readSetting,
  settings,
  type Setting,
  type SettingName,
  type SettingValue,
} from './settings.ts';

export interface RunnerConfig {
  readonly url?: string;
  readonly name: string;
  readonly tags?: readonly string[];
  readonly tokenFile?: string;
  readonly caFile?: string;
  readonly stateDir: string;
  readonly capacity: number;
  readonly nodes: readonly string[];
  readonly localExec: boolean;
  readonly knownHostsFile?: string;
  readonly kubeconfig?: string;
  readonly kubeContexts: readonly string[];
  readonly kubectl: string;
  readonly journalBytes: number;
  readonly drainTimeoutMs: number;
  readonly logFormat: LogFormat;
  readonly proxy: ProxySettings;
}

export interface CommandLine {
  readonly command: string;
  readonly help: boolean;
  readonly newKey: boolean;
  readonly config: () => Promise<RunnerConfig>;
}

const mebibyte = 1024 * 1024;

type Environment = Readonly<Record<string, string | undefined>>;
type Values = Partial<Record<SettingName, SettingValue>>;

const entries = Object.entries(settings) as [SettingName, Setting][];

const parseCommandLine = (argv: readonly string[]) => {
  const options = Object.fromEntries(
    entries.map(([, { flag, kind }]) => [
      flag,
      { type: kind.type === 'flag' ? ('boolean' as const) : ('string' as const) },
    ]),
  );
  try {
    return parseArgs({
      args: [...argv],
      options: {
        ...options,
        config: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
        'new-key': { type: 'boolean' },
      },
      allowPositionals: true,
      strict: true,
    });
  } catch (error) {
    const message = error instanceof Error ? (error.message.split('. ')[0] ?? '') : String(error);
    throw configInvalid(`${message}.`, 'See `outrider-runner help` for all options.');
  }
};

const distance = (a: string, b: string): number => {
  const [left, right] = [a.toLowerCase(), b.toLowerCase()];
  const shared = left.split('').filter((letter, i) => right[i] === letter).length;
  return Math.max(left.length, right.length) - shared;
};

const unknownKey = (path: string, key: string): Error => {
  const nearest = entries.map(([name]) => name).sort((a, b) => distance(a, key) - distance(b, key))[0] ?? '';
  const hint = distance(nearest, key) <= 3 ? ` Did you mean ${nearest}?` : '';
  return configInvalid(
    `${path} has the key "${key}", which does not exist.${hint}`,
    `Use only these keys: ${entries.map(([name]) => name).join(', ')}.`,
  );
};

const readFileValues = async (path: string): Promise<Values> => {
  let content: unknown;
  try {
    // Loaded only here: most runners have no file, and the parser takes memory.
    const { parse } = await import('yaml');
    content = parse(await readFile(path, 'utf8'));
  } catch (error) {
    const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw configInvalid(
      `The configuration file ${path} cannot be read: ${why}.`,
      'Correct the file or its path.',
    );
  }
  if (content === null || content === undefined) return {};
  if (typeof content !== 'object' || Array.isArray(content))
    throw configInvalid(`${path} is not a map of settings.`, 'Write one `key: value` a line.');
  const values: Values = {};
  for (const [key, raw] of Object.entries(content)) {
    const found = entries.find(([name]) => name === key);
    if (found === undefined) throw unknownKey(path, key);
    values[found[0]] = readSetting(found[1].kind, raw, `${key} in ${path}`);
  }
  return values;
};

const readEnvironment = (env: Environment): Values => {
  const values: Values = {};
  for (const [name, setting] of entries) {
    const raw = env[setting.env];
    if (raw !== undefined && raw !== '') values[name] = readSetting(setting.kind, raw, setting.env);
  }
  return values;
};

const readFlags = (flags: Readonly<Record<string, unknown>>): Values => {
  const values: Values = {};
  for (const [name, setting] of entries) {
    const raw = flags[setting.flag];
    if (raw !== undefined) values[name] = readSetting(setting.kind, raw, `--${setting.flag}`);
  }
  return values;
};

const defaultStateDir = (env: Environment): string => {
  if (process.getuid?.() === 0) return '/var/lib/outrider-runner';
  return join(env['XDG_STATE_HOME'] ?? join(homedir(), '.local', 'state'), 'outrider-runner');
};

/** This host's name as a name of a resource. */
const defaultName = (): string =>
  hostname()
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63) || 'runner';

const text = (value: SettingValue | undefined): string | undefined =>
  typeof value === 'string' ? value : undefined;
const number = (value: SettingValue | undefined, fallback: number): number =>
  typeof value === 'number' ? value : fallback;
const list = (value: SettingValue | undefined): readonly string[] | undefined =>
  typeof value === 'object' ? value : undefined;

const permittedNodes = (values: Values): readonly string[] => {
  const known = Object.keys(definitions);
  const localExec = values.localExec === true;
  const wanted = list(values.nodes);
  if (wanted === undefined) return known.filter((name) => localExec || name !== 'local-exec');
  const unknown = wanted.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw configInvalid(
      `The node type ${unknown} in nodes does not exist.`,
      `Use only: ${known.join(', ')}.`,
    );
  if (wanted.includes('local-exec') && !localExec)
    throw configInvalid(
      'nodes lists local-exec, but localExec is off.',
      'Set localExec too, or remove it from nodes.',
    );
  return wanted;
};

const checkUrl = (url: string | undefined): void => {
  if (url === undefined || (URL.canParse(url) && new URL(url).protocol === 'https:')) return;
  throw configInvalid(
    `The URL "${url}" is not an https URL.`,
    'Give the URL of the runner API, such as https://runners.example.com:8443.',
  );
};

/** Those that are set, without undefined values. */
const optional = (values: Values) => {
  const names = ['url', 'tokenFile', 'caFile', 'knownHostsFile', 'kubeconfig'] as const;
  const result: Partial<Record<(typeof names)[number], string>> = {};
  for (const name of names) {
    const value = text(values[name]);
    if (value !== undefined) result[name] = value;
  }
  return result;
};

const build = (values: Values, env: Environment): RunnerConfig => {
  const tags = list(values.tags);
  checkUrl(text(values.url));
  const capacity = number(values.capacity, Math.min(100, 4 * availableParallelism()));
  return {
    ...optional(values),
    name: text(values.name) ?? defaultName(),
    ...(tags === undefined ? {} : { tags }),
    stateDir: text(values.stateDir) ?? defaultStateDir(env),
    capacity,
    nodes: permittedNodes(values),
    localExec: values.localExec === true,
    kubeContexts: list(values.kubeContexts) ?? [],
    kubectl: text(values.kubectl) ?? 'kubectl',
    journalBytes: number(values.journalMiB, Math.min(8192, Math.max(1024, 128 * capacity))) * mebibyte,
    drainTimeoutMs: number(values.drainTimeout, 300_000),
    logFormat: values.logFormat === 'json' ? 'json' : 'text',
    proxy: proxyFromEnvironment(env),
  };
};

/** @throws OutriderError ConfigInvalid; `config()` reads environment and file, so that help works without them. */
export const readCommandLine = (argv: readonly string[], env: Environment): CommandLine => {
  const { values: flags, positionals } = parseCommandLine(argv);
  const [command = '', ...rest] = positionals;
  if (rest.length > 0)
    throw configInvalid(`Unexpected argument "${rest[0]}".`, 'See `outrider-runner help`.');
  return {
    command,
    help: flags['help'] === true,
    newKey: flags['new-key'] === true,
    config: async () => {
      const path = text(flags['config']) ?? env['OUTRIDER_CONFIG'];
      const file = path === undefined || path === '' ? {} : await readFileValues(path);
      return build({ ...file, ...readEnvironment(env), ...readFlags(flags) }, env);
    },
  };
};
