import type { OnLost } from '@outrider/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newTask, result } from '../invariants/builders.ts';
import type { TaskRecord } from '../records.ts';
import { openScene, type Scene } from '../suite/scene.ts';

const verify = { ...newTask('any', 'any', 0).spec, input: { script: 'test -f /done' } };
const message = 'The runner was restarted while this ran. How far it got is not known.';

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.end());

const run = async (onLost: OnLost): Promise<void> => {
  const { spec } = newTask('any', 'any', 0);
  await scene.begin({ spec: { ...spec, onLost }, ...(onLost === 'Verify' ? { verify } : {}) });
  await scene.start();
};
const probe = async (): Promise<TaskRecord> => {
  const found = (await scene.ledger.readRun(scene.run))?.tasks.find(({ probeOf }) => probeOf === scene.id);
  if (found === undefined) throw new Error('there is no probe');
  return found;
};

test.each(['Lost', 'ConnectionLost', 'TargetRestarted', 'SpoolLost', 'ExecutorCrashed'])(
  'under Ask, a result that says %s asks a person how far it got',
  async (reason) => {
    await run('Ask');
    expect(await scene.tell('Failed', { reason, message })).toMatchObject({ status: 'Recorded' });
    const asked = await scene.task();
    expect(asked).toMatchObject({ state: 'AwaitingHuman', reason: 'AwaitingHuman', epoch: 1, result: null });
    expect(asked.message).toMatch(
      /^The runner was restarted while this ran\. .* outrider decide \S+ restart/,
    );
    expect(await scene.tell('Failed', { reason, message })).toMatchObject({ status: 'Duplicate' });
    expect(await scene.decide({ decision: 'Succeeded' })).not.toHaveProperty('problem');
    expect(await scene.task()).toMatchObject({ state: 'Succeeded', reason: 'Decided', unconfirmed: 0 });
  },
);

test.each([
  [0, { state: 'Succeeded', reason: 'Verified' }],
  [1, { state: 'Ready', reason: 'Retrying' }],
])('under Verify, a result that says Lost asks the probe, whose %i means %j', async (exitCode, expected) => {
  await run('Verify');
  await scene.tell('Failed', { reason: 'Lost', message });
  expect(await scene.task()).toMatchObject({
    state: 'Verifying',
    message: `${message} The step's verify script finds out whether attempt 1 did its work.`,
  });
  await scene.execute(await probe(), result(exitCode === 0 ? 'Succeeded' : 'Failed', { exitCode }));
  expect(await scene.task()).toMatchObject(expected);
});

test('a runner that comes back while a person is asked, and knows no more, changes nothing', async () => {
  await run('Ask');
  await scene.pass(90_000);
  await scene.pass(15 * 60_000);
  const asked = await scene.task();
  expect(asked.state).toBe('AwaitingHuman');
  expect(await scene.tell('Failed', { reason: 'Lost', message })).toMatchObject({ status: 'Recorded' });
  expect(await scene.task()).toMatchObject({ state: 'AwaitingHuman', message: asked.message });
});

test('a result that says what happened fails the step, whatever its policy', async () => {
  await run('Ask');
  await scene.tell('Failed', { reason: 'NonZeroExit', message: 'The script ended with exit code 1.' });
  expect(await scene.task()).toMatchObject({ state: 'Failed', reason: 'NonZeroExit' });
});

test.each(['Fail', 'Retry'] as const)('under %s, a result that says Lost is a failure', async (onLost) => {
  await run(onLost);
  await scene.tell('Failed', { reason: 'Lost', message });
  expect(await scene.task()).toMatchObject({ state: 'Failed', reason: 'Lost' });
});

test('a cancelled run asks nobody', async () => {
  await run('Ask');
  await scene.ledger.requestCancel(scene.run, scene.now);
  await scene.tell('Failed', { reason: 'Lost', message });
  expect(await scene.task()).toMatchObject({ state: 'Failed', reason: 'Lost' });
});
