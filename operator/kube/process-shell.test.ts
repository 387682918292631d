import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'outrider-shell-'));
const kubeconfig = join(folder, 'config');
const open: ChildProcess[] = [];

beforeAll(() => {
  const cluster = { name: 'c', cluster: { server: 'https://127.0.0.1:1' } };
  const context = { name: 'x', context: { cluster: 'c', user: 'u' } };
  const user = { name: 'u', user: { token: 't' } };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'x',
    clusters: [cluster],
    contexts: [context],
  };
  writeFileSync(kubeconfig, JSON.stringify({ ...config, users: [user] }));
});
afterAll(() => {
  for (const child of open) child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

/** A process of its own, as signals and the library's CommonJS default export are only true there. */
const run = (start: string, graceMs = 5000) => {
  const script = `
    import { runProcess } from ${JSON.stringify(new URL('process-shell.ts', import.meta.url).href)};
    const say = (level) => (_, message) => console.log(level + ' ' + message);
    const logger = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
    const keep = setInterval(() => {}, 1000);
    process.exitCode = await runProcess({ logger, graceMs: ${graceMs}, start: async ({ kubeConfig, signal }) => { ${start} } });
    clearInterval(keep);
    process.exit();`;
  const child = spawn(
    process.execPath,
    ['--conditions=development', '--input-type=module', '--eval', script],
    {
      env: { ...process.env, KUBECONFIG: kubeconfig },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  open.push(child);
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  let output = '';
  const waiting = new Map<string, () => void>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    for (const [word, found] of waiting) if (output.includes(word)) found();
  });
  const said = (word: string): Promise<void> =>
    new Promise((resolve) => {
      waiting.set(word, resolve);
      if (output.includes(word)) resolve();
    });
  return { child, ended, said, output: () => output.trim().split('\n') };
};

test('loads the kubeconfig, runs until SIGTERM, stops gracefully and exits with 0', async () => {
  const shell = run(`
    console.log('started ' + kubeConfig.getCurrentCluster().server);
    return { stop: async () => console.log('stopped ' + signal.aborted) };`);
  await shell.said('started');
  shell.child.kill('SIGTERM');
  expect(await shell.ended).toBe(0);
  expect(shell.output()).toEqual(['started https://127.0.0.1:1', 'info stopping', 'stopped true']);
});

test('exits with 1 when it cannot start', async () => {
  const shell = run(`throw new Error('the port is taken');`);
  expect(await shell.ended).toBe(1);
  expect(shell.output()).toEqual(['error could not start']);
});

test('exits with 1 when stopping fails', async () => {
  const shell = run(`console.log('started'); return { stop: () => Promise.reject(new Error('stuck')) };`);
  await shell.said('started');
  shell.child.kill('SIGINT');
  expect(await shell.ended).toBe(1);
  expect(shell.output()).toEqual(['started', 'info stopping', 'error could not stop cleanly']);
});

test('exits with 1 when stopping takes longer than it may', async () => {
  const shell = run(`console.log('started'); return { stop: () => new Promise(() => {}) };`, 50);
  await shell.said('started');
  shell.child.kill('SIGTERM');
  expect(await shell.ended).toBe(1);
  expect(shell.output()).toEqual([
    'started',
    'info stopping',
    'error not everything has stopped; exiting all the same',
  ]);
});

test('a second signal does not wait', async () => {
  const shell = run(
    `
    console.log('started');
    return { stop: () => { console.log('asked'); return new Promise(() => {}); } };`,
    600_000,
  );
  await shell.said('started');
  shell.child.kill('SIGTERM');
  await shell.said('asked');
  shell.child.kill('SIGTERM');
  expect(await shell.ended).toBe(1);
});
