import { beforeAll, expect, test } from 'vitest';
import { startRunner, systemNamespace } from '../servers/outrider.ts';
import { startSshd, type Sshd } from '../servers/sshd.ts';
import { useStack } from './stack.ts';

const stack = useStack();
let sshd: Sshd;

beforeAll(async () => {
  sshd = await startSshd({ footprint: stack.footprint });
  await stack.apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'web', labels: { 'outrider.dev/allow': 'true' } },
    stringData: { username: sshd.user, 'ssh-privatekey': sshd.clientKeyPem },
  });
  const web = (name: string) => ({
    apiVersion: 'outrider.dev/v1alpha1',
    kind: 'Target',
    metadata: { name, labels: { role: 'web' } },
    spec: {
      type: 'SSH',
      host: sshd.host,
      port: sshd.port,
      hostKey: sshd.hostKeyFingerprint,
      credential: 'secret:web',
    },
  });
  await stack.apply(web('web-1'), web('web-2'), web('web-3'));
  await stack.startRunner('prod', { tags: ['production', 'us-east-1'], flags: ['--local-exec'] });
  await stack.allowLocalExec('prod');
});

test('a run of three steps, started by the command line, reaches Succeeded, and its log is read live', async () => {
  const step = (name: string) => ({ name, node: 'local-exec', script: `echo "hello from ${name}"` });
  await stack.workflow('greet', { steps: [step('one'), step('two'), step('three')] });
  const { code, stdout, stderr } = await stack.cli(['run', 'greet', '--follow']);
  expect(stderr).not.toContain('error');
  expect(stdout.match(/hello from \w+/g)).toEqual(['hello from one', 'hello from two', 'hello from three']);
  expect(code).toBe(0);
});

test('a selector runs the step once on each Target, and parameters reach the script as environment', async () => {
  await stack.workflow('fan-out', {
    parameters: [{ name: 'greeting', required: true }],
    runner: { tags: ['production'] },
    steps: [
      {
        name: 'greet',
        node: 'ssh-exec',
        targets: { matchLabels: { role: 'web' } },
        script: 'echo "$OUTRIDER_PARAM_GREETING"',
      },
    ],
  });
  const name = await stack.startRun('fan-out', { parameters: { greeting: 'good morning' } });
  const stdout = await stack.mustCli('logs', name, '--follow');
  expect(stdout.match(/greet\/web-\d \| good morning/g)?.sort()).toEqual(
    [1, 2, 3].map((n) => `greet/web-${n} | good morning`),
  );
  const run = await stack.waitForEnd(name);
  expect(run.status?.steps?.[0]?.targets).toEqual({ total: 3, succeeded: 3, failed: 0 });
});

test("work with `local: true` goes to the installation's own runner and to no other, and that one takes nothing else", async () => {
  await stack.workflow('here', {
    steps: [
      { name: 'here', node: 'local-exec', runner: { local: true }, script: 'echo "on the local runner"' },
    ],
  });
  const run = await stack.startRun('here');
  await stack.waitForRun(run, 'to say that it needs a local runner', ({ status }) =>
    (status?.steps?.[0]?.message ?? '').startsWith('Needs a local runner'),
  );
  const system = ['-n', systemNamespace];
  const token = await stack.cli(['runner', 'token', ...system, '--local', '-o', 'name']);
  await startRunner({
    footprint: stack.footprint,
    name: 'local',
    token: token.stdout.trim(),
    flags: ['--local-exec'],
  });
  const allow = JSON.stringify({ spec: { allow: { nodes: ['local-exec'] } } });
  await expect
    .poll(
      () => stack.controlPlane.kubectl([...system, 'patch', 'runner', 'local', '--type=merge', '-p', allow]),
      { timeout: 20_000 },
    )
    .toMatchObject({ code: 0 });
  const ended = await stack.waitForEnd(run);
  expect(ended.status).toMatchObject({ phase: 'Succeeded', steps: [{ runner: 'local' }] });
});

test('a token for a local runner is refused outside the namespace of the operator', async () => {
  const { code, stderr } = await stack.cli(['runner', 'token', '--local']);
  expect(code).toBe(1);
  expect(stderr).toContain(
    `A local runner belongs to the installation itself and cannot be registered in namespace ${stack.namespace}.`,
  );
});

test('the OpenAPI document describes every route of the portal', async () => {
  const document = await stack.portal('/api/v1/openapi.json');
  expect(Object.keys((document as { paths: object }).paths)).toEqual(
    expect.arrayContaining([
      '/api/v1/token',
      '/api/v1/namespaces/{namespace}/workflowruns',
      '/api/v1/namespaces/{namespace}/workflowruns/{name}/log',
      '/api/v1/namespaces/{namespace}/runners',
    ]),
  );
});
