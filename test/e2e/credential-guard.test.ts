import { beforeAll, expect, test } from 'vitest';
import type { RunDetails, TaskView } from '@outrider/portal';
import { protocolVersion } from '@outrider/protocol';
import { createRunnerApi, type RunnerApi } from '@outrider/runner/agent/api';
import { loadCa } from '@outrider/runner/agent/ca';
import { createTransport } from '@outrider/runner/agent/http';
import { loadKey, type RunnerKey } from '@outrider/runner/agent/key';
import { loadRegistration } from '@outrider/runner/agent/registration';
import { createAuthorizer } from '@outrider/runner/agent/token';
import { createEnvelopeKey } from '@outrider/runner/secrets/envelope';
import type { RemoteRunner } from '../servers/outrider.ts';
import { waitFor } from '../servers/wait.ts';
import { startSshTarget, startWitnessed, type WitnessedRun } from './faults-fixture.ts';
import { useStack } from './stack.ts';

const stack = useStack();
const signal = AbortSignal.timeout(120_000);
let holder: RemoteRunner;
let other: RemoteRunner;
let held: WitnessedRun;

beforeAll(async () => {
  const { target } = await startSshTarget(stack);
  other = await stack.startRunner('other', { tags: ['other'] });
  holder = await stack.startRunner('holder', { tags: ['prod'] });
  held = await startWitnessed(stack, 'held', { node: 'ssh-exec', target, runner: { tags: ['prod'] } });
  await held.witness.begun();
});

interface Impostor {
  readonly api: RunnerApi;
  readonly key: RunnerKey;
  /** Of the session that it has opened in the runner's place. */
  readonly session: { readonly session: string; readonly generation: string };
}

/** Whoever has the state folder of a runner that has ended, and asks for what that runner never would. */
const impersonate = async ({ stateDir, process: server }: RemoteRunner): Promise<Impostor> => {
  server.signal('SIGTERM');
  await waitFor(`${server.name} to end`, () => !server.running());
  const [key, registration, ca] = await Promise.all([
    loadKey(stateDir),
    loadRegistration(stateDir),
    loadCa({ stateDir }),
  ]);
  if (!key || !registration || ca === undefined) throw new Error(`${stateDir} holds no runner`);
  const transport = createTransport({ url: registration.url, ca });
  const api = createRunnerApi(createAuthorizer({ transport, key, clientId: registration.clientId }));
  const session = await api.openSession(
    {
      protocolVersion,
      version: '0.1.0',
      startedAt: new Date().toISOString(),
      capacity: 1,
      nodes: ['ssh-exec'],
      inventory: [],
    },
    signal,
  );
  return { api, key, session };
};

const taskOf = async (run: string): Promise<TaskView> => {
  const { tasks } = JSON.parse(await stack.mustCli('describe', run, '-o', 'json')) as RunDetails;
  const [task] = tasks;
  if (!task) throw new Error(`run ${run} has no task`);
  return task;
};

const ask = async (
  { api, key, session: { session, generation } }: Impostor,
  task: { readonly id: string; readonly epoch: number },
  more: Readonly<Record<string, unknown>> = {},
): Promise<unknown> => {
  const { publicKey: envelopeKey } = await createEnvelopeKey();
  const request = { session, generation, task: task.id, epoch: task.epoch, reference: 'secret:ssh-key' };
  return api.credentials(await key.sign({ ...request, envelopeKey, ...more }), signal);
};

test('no runner gets the credential of a task that another one is executing', async () => {
  const impostor = await impersonate(other);
  const task = await taskOf(held.name);
  expect(task).toMatchObject({ state: 'Running', runner: 'holder', epoch: 1 });
  await expect(ask(impostor, task)).rejects.toMatchObject({
    code: 'StateMismatch',
    message: expect.stringContaining(`does not hold task ${task.id} at epoch 1`) as string,
  });
  await expect(ask(impostor, { ...task, epoch: 2 })).rejects.toMatchObject({ code: 'EpochMismatch' });
});

test('no runner gets the credential of its own task after the task has ended', async () => {
  held.witness.open();
  await stack.waitForEnd(held.name);
  const impostor = await impersonate(holder);
  const task = await taskOf(held.name);
  expect(task).toMatchObject({ state: 'Succeeded', runner: 'holder', epoch: 1 });
  await expect(ask(impostor, task)).rejects.toMatchObject({ code: 'StateMismatch' });
});
