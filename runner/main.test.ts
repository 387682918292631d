import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { paths } from '@outrider/protocol';
import { eventually, ref, spec } from './agent/testing/bench.ts';
import { TestOperator } from './agent/testing/operator.ts';
import { main } from './main.ts';

let operator: TestOperator;
let folder: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  operator = await TestOperator.start();
  folder = await mkdtemp(join(tmpdir(), 'runner-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
  await operator.stop();
  await rm(folder, { recursive: true, force: true });
});

/** The program inside this process, for what ends by itself. */
const call = async (argv: string[], env: Record<string, string | undefined> = {}) => {
  const output = { out: '', err: '' };
  const code = await main({
    argv,
    env,
    out: (text) => void (output.out += text),
    err: (text) => void (output.err += text),
    onSignal: () => () => undefined,
  });
  return { code, env, ...output };
};

/** The program as a process of its own. */
const launch = (argv: string[], env: Record<string, string>) => {
  const program = join(import.meta.dirname, 'main.ts');
  const child = spawn(process.execPath, ['--conditions=development', program, ...argv], {
    env: { PATH: process.env['PATH'] ?? '', XDG_RUNTIME_DIR: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  const output = { text: '' };
  child.stderr.on('data', (part: Buffer) => (output.text += part.toString()));
  const exit = once(child, 'exit').then(([code]) => code as number | null);
  return { child, output, exit };
};

test('run registers, executes a script, drains on SIGTERM with 0, and a second start needs no token', async () => {
  const stateDir = join(folder, 'state');
  const argv = ['run', '--state-dir', stateDir, '--local-exec', '--name', 'runner-1'];
  const token = operator.token;
  const first = launch(argv, { OUTRIDER_RUNNER_TOKEN: token });
  operator.offer(ref('t1'), { ...spec, input: { script: 'echo token=[$OUTRIDER_RUNNER_TOKEN]; exit 3' } });
  await eventually(() =>
    expect(operator.results.get('t1/1'), first.output.text).toMatchObject({ exitCode: 3 }),
  );
  await eventually(() => expect(operator.logs.get('t1/1')?.toString('latin1')).toContain('token=[]\n'));
  expect(operator.sessions[0]).toMatchObject({ nodes: ['kubectl-exec', 'local-exec', 'ssh-exec'] });
  first.child.kill('SIGTERM');
  expect(await first.exit, first.output.text).toBe(0);
  expect(first.output.text).toContain('registered namespace=prod name=runner-1');
  expect(first.output.text).toContain('drained');
  expect(first.output.text).not.toContain(token);

  const second = launch([...argv, '--log-format', 'json'], {});
  await eventually(() => expect(operator.sessions.length, second.output.text).toBe(2));
  second.child.kill('SIGINT');
  expect(await second.exit).toBe(0);
  const lines = second.output.text.trim().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as { message: string }).message)).toContain('drained');
  expect(operator.registrations).toBe(1);
});

test('a revoked runner ends with 3 and says what to do', async () => {
  operator.fault = (path) => (path === paths.session ? { status: 403, code: 'RunnerRevoked' } : undefined);
  const { output, exit } = launch(['run', '--state-dir', join(folder, 'state')], {
    OUTRIDER_RUNNER_TOKEN: operator.token,
  });
  expect(await exit).toBe(3);
  expect(output.text).toContain('error RunnerRevoked: RunnerRevoked\n  → Test.\n');
});

test('an operator of another protocol version ends the runner with 3 at its first try', async () => {
  operator.fault = (path) =>
    path === paths.session ? { status: 400, code: 'ProtocolVersionUnsupported' } : undefined;
  const { output, exit } = launch(['run', '--state-dir', join(folder, 'state')], {
    OUTRIDER_RUNNER_TOKEN: operator.token,
  });
  expect(await exit).toBe(3);
  expect(output.text).toContain('error ProtocolVersionUnsupported: ProtocolVersionUnsupported\n  → Test.\n');
});

test('register takes the token out of the environment and ends with 0', async () => {
  const env = { OUTRIDER_RUNNER_TOKEN: operator.token, OUTRIDER_STATE_DIR: folder };
  const result = await call(['register', '--name', 'runner-1'], env);
  expect(result.code).toBe(0);
  expect('OUTRIDER_RUNNER_TOKEN' in result.env).toBe(false);
  expect(await readFile(join(folder, 'registration.json'), 'utf8')).toContain('"namespace": "prod"');
});

test('a token may stand in a file', async () => {
  const path = join(folder, 'token');
  await writeFile(path, `${operator.token}\n`);
  const result = await call(['register', '--name', 'r', '--state-dir', folder, '--token-file', path]);
  expect([result.code, result.err.includes('registered')]).toEqual([0, true]);
});

test('a refused registration ends with 3', async () => {
  await call(['register', '--name', 'a'], {
    OUTRIDER_RUNNER_TOKEN: operator.token,
    OUTRIDER_STATE_DIR: join(folder, 'a'),
  });
  const env = { OUTRIDER_RUNNER_TOKEN: operator.token, OUTRIDER_STATE_DIR: join(folder, 'b') };
  const result = await call(['register', '--name', 'b'], env);
  expect(result).toMatchObject({ code: 3 });
  expect(result.err).toBe('error RegistrationTokenUsed: The token was used by another key.\n  → Test.\n');
});

test.each([
  [
    [],
    'error ConfigInvalid: No command is given.\n  → Use run, register, version or help; see `outrider-runner help`.\n',
  ],
  [['start'], 'error ConfigInvalid: There is no command "start".\n'],
  [['run', '--nope'], "error ConfigInvalid: Unknown option '--nope'.\n"],
  [['run', 'now'], 'error ConfigInvalid: Unexpected argument "now".\n'],
])('wrong usage %j ends with 2', async (argv, words) => {
  const result = await call(argv);
  expect(result.code).toBe(2);
  expect(result.err).toContain(words);
});

test('without a registration and without a token run says how to get one', async () => {
  const result = await call(['run', '--state-dir', folder]);
  expect(result.code).toBe(2);
  expect(result.err).toBe(
    `error ConfigInvalid: This runner has not joined yet (nothing in ${folder}), and no registration token is given.\n  → Make one with \`outrider runner token\` and pass it in OUTRIDER_RUNNER_TOKEN or --token-file.\n`,
  );
});

test('help and version end with 0 on standard output', async () => {
  expect(await call(['--help'])).toMatchObject({ code: 0, err: '' });
  expect((await call(['version'])).out).toMatch(/^outrider-runner \d+\.\d+\.\d+ \(protocol 2, node /);
});
