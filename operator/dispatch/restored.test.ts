import { expect, test } from 'vitest';
import { aNewRun } from '../testing/builders.ts';
import { aTask, addRunner, bench, connect, ready, running, stateOf, useBench } from './test-bench.ts';

useBench();

test('a runner with an epoch that this ledger has not given out shows that a copy was put back', async () => {
  const { identity, offer } = await running();
  const { generation } = bench.ledger;
  const inventory = [{ ...offer, epoch: offer.epoch + 1, generation, state: 'Started' as const }];
  await expect(connect(identity, { inventory })).rejects.toMatchObject({ code: 'GenerationMismatch' });
  expect(bench.recovery.active).toBe(true);
  expect(bench.recovery.reason).toBe(
    'A copy of the ledger was put back: runner payments/r1 holds epoch 2 of task t1, which this ledger has not given out.',
  );
  expect(bench.ledger.generation).not.toBe(generation);
  const again = await connect(identity, { inventory });
  expect(again).toMatchObject({
    generation: bench.ledger.generation,
    recovering: true,
    attempts: [{ task: 't1', epoch: 2, decision: 'Continue' }],
  });
  expect(await stateOf('t1')).toBe('Running');
});

test('in recovery nothing is offered and no deadline passes; afterwards a person decides about the rest', async () => {
  const { identity, runner } = await running();
  const task = { ...aTask('t2'), stepIndex: 0 };
  const run = aNewRun({ uid: 'second', name: 'second', specDigest: '2'.repeat(64) });
  await bench.ledger.createRun({ run, tasks: [task] });
  await bench.recovery.enter('The ledger was put back.');
  await expect(runner.poll()).rejects.toMatchObject({ code: 'GenerationMismatch' });
  const again = await connect(identity);
  expect(again.recovering).toBe(true);
  expect((await again.poll([], AbortSignal.abort())).offers).toEqual([]);
  bench.now += 86_400_000;
  await bench.sweep();
  expect(await stateOf('t1')).toBe('Running');
  const restored = bench.board.get('t1');
  expect(restored && bench.explain(restored).reason).toBe('RecoveryActive');
  await bench.recovery.leave('admin');
  expect([bench.recovery.active, await stateOf('t1')]).toEqual([false, 'AwaitingHuman']);
});

test('results that were acknowledged before the copy was put back end their tasks', async () => {
  const { identity, offer } = await running();
  const { generation } = bench.ledger;
  await bench.recovery.enter('The ledger was put back.');
  const { envelope } = await connect(identity);
  const at = new Date(bench.now).toISOString();
  const result = {
    outcome: 'Succeeded' as const,
    exitCode: 0,
    startedAt: at,
    finishedAt: at,
    log: { length: 0, sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' },
  };
  const handIn = { ...envelope, items: [{ ...offer, generation, result }], complete: true };
  expect(await bench.dispatch.recover(identity, handIn)).toEqual({ accepted: 1 });
  expect(await stateOf('t1')).toBe('Succeeded');
});

const keyRequest = { host: 'web-1.example.com', port: 22, key: 'ssh-ed25519 AAAAC3Nz' };

const acceptNew = async (policy: 'AcceptNew' | 'Strict') => {
  const identity = addRunner('r1');
  const runner = await connect(identity);
  const poll = runner.poll();
  const { spec } = aTask('t1');
  await ready(
    aTask('t1', { spec: { ...spec, connection: { host: keyRequest.host, hostKeyPolicy: policy } } }),
  );
  const [offered] = (await poll).offers;
  if (!offered) throw new Error('nothing was offered');
  const offer = { task: offered.task, epoch: offered.epoch };
  await runner.accept(offer);
  const learn = (over: Partial<typeof keyRequest> = {}) =>
    bench.dispatch.learnHostKey(identity, { ...runner.envelope, ...offer, ...keyRequest, ...over });
  return { learn, runner, offer };
};

test('the first key of a host that is told is the one for all, and stands in the audit trail', async () => {
  const { learn, runner, offer } = await acceptNew('AcceptNew');
  expect(await learn()).toEqual({ key: keyRequest.key, learned: true });
  expect(await learn({ key: 'ssh-ed25519 another' })).toEqual({ key: keyRequest.key, learned: false });
  const object = 'Host/payments/web-1.example.com:22';
  expect(await bench.ledger.listAudit({ limit: 10, object })).toMatchObject([
    { actor: 'runner/r1', action: 'LearnHostKey', details: { key: keyRequest.key } },
  ]);
  await expect(learn({ host: 'bank.example.com' })).rejects.toMatchObject({ code: 'Forbidden' });
  await expect(learn({ port: 2222 })).rejects.toMatchObject({ code: 'Forbidden' });
  await runner.result(offer);
  await expect(learn()).rejects.toMatchObject({ code: 'StateMismatch' });
});

test('no key is learned for a host that is to be known already', async () => {
  const { learn } = await acceptNew('Strict');
  await expect(learn()).rejects.toMatchObject({
    code: 'Forbidden',
    message:
      'Task t1 does not connect to web-1.example.com:22 with hostKeyPolicy AcceptNew, so no key of that host is learned from it.',
  });
});
