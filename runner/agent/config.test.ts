import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readCommandLine, type RunnerConfig } from './config.ts';
import { helpText } from './help.ts';
import { parseDuration, settings } from './settings.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'runner-'));
  path = join(folder, 'runner.yaml');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const read = (argv: readonly string[], env: Record<string, string> = {}): Promise<RunnerConfig> =>
  readCommandLine(['run', ...argv], env).config();

const fromFile = (
  text: string,
  argv: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<RunnerConfig> => {
  writeFileSync(path, text);
  return read(['--config', path, ...argv], env);
};

describe('precedence', () => {
  const file = 'name: from-file\ncapacity: 3\ntags: [a, b]\n';

  test('an option wins over the environment', async () => {
    const config = await fromFile(file, ['--name', 'from-flag'], { OUTRIDER_RUNNER_NAME: 'from-env' });
    expect(config.name).toBe('from-flag');
  });

  test('the environment wins over the file', async () => {
    const config = await fromFile(file, [], {
      OUTRIDER_RUNNER_NAME: 'from-env',
      OUTRIDER_RUNNER_TAGS: 'x, y',
    });
    expect(config).toMatchObject({ name: 'from-env', tags: ['x', 'y'], capacity: 3 });
  });

  test('the file wins over the default, and may be named by OUTRIDER_CONFIG', async () => {
    writeFileSync(path, file);
    expect(await read([], { OUTRIDER_CONFIG: path })).toMatchObject({
      name: 'from-file',
      tags: ['a', 'b'],
      capacity: 3,
    });
  });

  test('defaults permit every node type but local-exec', async () => {
    const config = await read([]);
    expect(config.nodes).toEqual(['kubectl-exec', 'ssh-exec']);
    expect(config).toMatchObject({
      localExec: false,
      drainTimeoutMs: 300_000,
      logFormat: 'text',
      kubectl: 'kubectl',
    });
    expect(config.capacity).toBeGreaterThanOrEqual(4);
    expect(config.journalBytes).toBeGreaterThanOrEqual(2 ** 30);
  });
});

test('everything in the file is understood', async () => {
  const config = await fromFile(
    [
      'url: https://runners.example.com:8443',
      'stateDir: /srv/runner',
      'localExec: true',
      'nodes: [local-exec]',
      'kubeconfig: /etc/kube',
      'kubeContexts: [prod]',
      'knownHostsFile: /etc/known',
      'drainTimeout: 1h30m',
      'journalMiB: 64',
      'logFormat: json',
    ].join('\n'),
  );
  expect(config).toMatchObject({
    url: 'https://runners.example.com:8443',
    stateDir: '/srv/runner',
    localExec: true,
    nodes: ['local-exec'],
    kubeconfig: '/etc/kube',
    kubeContexts: ['prod'],
    knownHostsFile: '/etc/known',
    drainTimeoutMs: 5_400_000,
    journalBytes: 64 * 2 ** 20,
    logFormat: 'json',
  });
});

test('proxies come from the environment alone', async () => {
  const env = { HTTPS_PROXY: 'http://proxy:3128', NO_PROXY: 'vault.internal' };
  expect((await read([], env)).proxy).toEqual({ httpsProxy: 'http://proxy:3128', noProxy: 'vault.internal' });
});

describe('errors name the place and the fix', () => {
  const refusal = async (act: () => Promise<unknown>): Promise<{ code: string; message: string }> => {
    try {
      await act();
    } catch (error) {
      return error as { code: string; message: string };
    }
    throw new Error('nothing was refused');
  };

  test.each([
    ['an unknown key', 'capasity: 4', 'has the key "capasity", which does not exist. Did you mean capacity?'],
    ['a wrong type', 'capacity: many', 'which is not a whole number from 1 to 1000.'],
    ['a list as a file', '- a', 'is not a map of settings.'],
    ['broken YAML', 'a: [', 'cannot be read:'],
    ['an http URL', 'url: http://runners:8443', 'The URL "http://runners:8443" is not an https URL.'],
    ['an unknown node type', 'nodes: [ssh]', 'The node type ssh in nodes does not exist.'],
    [
      'local-exec that is not permitted',
      'nodes: [local-exec]',
      'nodes lists local-exec, but localExec is off.',
    ],
    ['a duration without a unit', 'drainTimeout: "90"', 'which is not a duration such as 90s or 1h30m.'],
  ])('%s in the file', async (_, text, words) => {
    const error = await refusal(async () => fromFile(text));
    expect(error.code).toBe('ConfigInvalid');
    expect(error.message).toContain(words);
  });

  test('an unknown option', async () => {
    const error = await refusal(async () => read(['--capasity', '4']));
    expect(error).toMatchObject({ code: 'ConfigInvalid', message: "Unknown option '--capasity'." });
  });

  test('a wrong environment variable', async () => {
    const error = await refusal(async () => read([], { OUTRIDER_CAPACITY: '0' }));
    expect(error.message).toBe('OUTRIDER_CAPACITY is "0", which is not a whole number from 1 to 1000.');
  });
});

test('durations are sums of parts', async () => {
  expect(parseDuration('1h30m5s10ms')).toBe(5_405_010);
  expect(parseDuration('5 minutes')).toBeUndefined();
});

test('the help names every option, variable, signal and exit status', async () => {
  const help = helpText();
  for (const { flag, env } of Object.values(settings)) {
    expect(help).toContain(`--${flag}`);
    expect(help).toContain(env);
  }
  for (const word of ['OUTRIDER_RUNNER_TOKEN', 'NO_PROXY', 'SIGTERM', '3 revoked'])
    expect(help).toContain(word);
});
