import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Engine } from '../../operator/engine.ts';
import { leadingLedger } from '../../operator/replicas/leading-ledger.ts';
import { startPostgres, type Postgres } from '../servers/postgres.ts';
import { waitFor } from '../servers/wait.ts';
import {
  addRunner,
  connect,
  heardOf,
  makeReady,
  openReplica,
  refOf,
  takeFailures,
} from './replicas-fixture.ts';

let postgres: Postgres;
let url: string;
let a: Engine;
let b: Engine;

beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());
beforeEach(async () => {
  url = await postgres.createDatabase('replicas');
  a = await openReplica(url, 'a');
  b = await openReplica(url, 'b');
});
afterEach(async () => {
  await Promise.all([a.stop(), b.stop()]);
  expect(takeFailures()).toEqual([]);
});

test('a session that was opened at one replica is used at the other: poll, accept, reports, secrets', async () => {
  const runner = await addRunner(a, 'worker');
  const worker = await connect(a, runner);
  const polling = worker.poll(b);
  await makeReady(a, 'run-1', ['t1']);
  const { offers } = await polling;
  const ref = refOf(offers[0]);
  expect((await worker.accept(a, ref)).attempts).toMatchObject([{ status: 'Recorded' }]);
  const secret = { ...worker.envelope, ...ref, reference: 'secret:ssh-key' };
  expect((await b.dispatch.authorizeSecrets(runner, secret)).id).toBe('t1');
  await worker.started(b, ref);
  expect((await worker.result(a, ref)).reports).toMatchObject([{ status: 'Recorded' }]);
  expect((await b.ledger.readTask('t1'))?.state).toBe('Succeeded');
});

test('work that one replica has not heard of yet is never taken from its runner', async () => {
  const worker = await connect(a, await addRunner(a, 'worker'));
  const polling = worker.poll(a);
  await makeReady(a, 'run-1', ['t1']);
  const ref = refOf((await polling).offers[0]);
  // The other is asked in the very moment of the answer, again and again while the news is on its way.
  await worker.accept(a, ref);
  const gone = new AbortController();
  const polled = worker.poll(b, [ref], gone.signal);
  await worker.started(b, ref);
  await heardOf(b, 't1', 'Running');
  expect(b.sessions.bySession('key-worker')?.cancels.size).toBe(0);
  gone.abort();
  expect((await polled).cancels).toEqual([]);
  const chunk = { ...ref, offset: 0, bytes: new Uint8Array() };
  expect(
    (
      await b.dispatch.logs(
        { clientId: 'key-worker', namespace: 'payments', name: 'worker', local: false },
        worker.envelope.session,
        [chunk],
      )
    ).attempts,
  ).toEqual([{ ...ref, offset: 0 }]);
});

test('two replicas that offer the same tasks give each to one runner', async () => {
  const one = await connect(a, await addRunner(a, 'one'), { capacity: 25 });
  const two = await connect(b, await addRunner(b, 'two'), { capacity: 25 });
  const polls = [one.poll(a), two.poll(b)];
  const ids = Array.from({ length: 50 }, (_, n) => `t${n}`);
  await makeReady(a, 'run-1', ids);
  const offered = (await Promise.all(polls)).flatMap(({ offers }) => offers.map(({ task }) => task));
  while (offered.length < ids.length) {
    const { offers } = await Promise.race([one.poll(a), two.poll(b)]);
    offered.push(...offers.map(({ task }) => task));
  }
  expect(new Set(offered)).toEqual(new Set(ids));
  expect(offered).toHaveLength(ids.length);
  const { tasks } = (await a.ledger.readRun('run-1')) ?? { tasks: [] };
  expect(tasks.map(({ epoch, state }) => `${state} ${epoch}`)).toEqual(ids.map(() => 'Offered 1'));
});

test('a newer session of a key ends the poll that another replica holds for the older one', async () => {
  const runner = await addRunner(a, 'worker');
  const older = await connect(a, runner);
  const polling = older.poll(a).catch((error: unknown) => error);
  const newer = await connect(b, runner);
  await makeReady(b, 'run-1', ['t1']);
  expect(await polling).toMatchObject({ code: 'SessionSuperseded' });
  await expect(older.poll(b)).rejects.toMatchObject({ code: 'SessionSuperseded' });
  const { offers } = await newer.poll(b);
  expect(offers.map(({ task }) => task)).toEqual(['t1']);
});

test('a cancel reaches the runner through the replica that holds its poll', async () => {
  const worker = await connect(a, await addRunner(a, 'worker'));
  const polling = worker.poll(a);
  await makeReady(a, 'run-1', ['t1']);
  const ref = refOf((await polling).offers[0]);
  await worker.accept(a, ref);
  await worker.started(a, ref);
  await heardOf(b, 't1', 'Running');
  const held = worker.poll(b, [ref]);
  a.board.apply((await a.ledger.requestCancel('run-1', Date.now())).tasks);
  expect((await held).cancels).toEqual([{ ...ref, reason: 'Cancelled' }]);
});

test('what a runner does not list in two polls in a row becomes Unknown, whichever replicas these reach', async () => {
  const worker = await connect(a, await addRunner(a, 'worker'));
  const polling = worker.poll(a);
  await makeReady(a, 'run-1', ['t1']);
  const ref = refOf((await polling).offers[0]);
  await worker.accept(a, ref);
  await heardOf(b, 't1', 'Claimed');
  const poll = async (to: Engine): Promise<void> => {
    const gone = new AbortController();
    const held = worker.poll(to, [], gone.signal);
    await waitFor('the poll to be held', () => to.sessions.bySession('key-worker')?.poll !== undefined);
    gone.abort();
    await held;
  };
  for (const to of [a, b, a]) await poll(to);
  expect((await b.ledger.readTask('t1'))?.state).toBe('Unknown');
});

test('each replica knows the runners of the other, and says so as if they were its own', async () => {
  const worker = await connect(a, await addRunner(a, 'worker'), { capacity: 7 });
  const gone = new AbortController();
  const polling = (async () => {
    while (!gone.signal.aborted) await worker.poll(a, [], gone.signal);
  })();
  const seen = await waitFor(
    'the other replica to know the runner',
    () => b.sessions.get('payments', 'worker').find(({ connected }) => connected),
    { timeoutMs: 15_000 },
  );
  expect(seen).toMatchObject({ session: worker.envelope.session, capacity: 7, closed: false, load: 0 });
  gone.abort();
  await polling;
  await a.dispatch.closeSession(
    { clientId: 'key-worker', namespace: 'payments', name: 'worker', local: false },
    worker.envelope,
  );
  await waitFor(
    'the other replica to know that it has stopped',
    () => b.sessions.get('payments', 'worker')[0]?.closed,
    { timeoutMs: 15_000 },
  );
});

test('a replica that starts finds open work and present runners', async () => {
  const worker = await connect(a, await addRunner(a, 'worker'));
  const polling = worker.poll(a);
  await makeReady(a, 'run-1', ['t1', 't2', 't3']);
  await worker.accept(a, ...(await polling).offers.map(refOf));
  const c = await openReplica(url, 'c');
  expect(['t1', 't2', 't3'].map((id) => c.board.get(id)?.state)).toEqual(['Claimed', 'Claimed', 'Ready']);
  expect(c.board.heldCount('key-worker')).toBe(2);
  await c.stop();
});

test('a leader that another has followed changes nothing, and learns it', async () => {
  const told: string[] = [];
  const first = leadingLedger(a.ledger, await a.ledger.takeTerm(), () => told.push('first'));
  await makeReady(a, 'run-1', ['t1']);
  const second = leadingLedger(b.ledger, await b.ledger.takeTerm(), () => told.push('second'));
  await expect(first.requestCancel('run-1', Date.now())).rejects.toMatchObject({ code: 'TermSuperseded' });
  expect((await second.requestCancel('run-1', Date.now())).tasks).toMatchObject([
    { id: 't1', cancelRequested: true },
  ]);
  expect(told).toEqual(['first']);
});
