import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Runner, RunnerSpec } from '@outrider/kinds';
import type { SessionRequest, TaskResult } from '@outrider/protocol';
import { createCacheStore, type CacheStore } from '../kube/cache-store.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { NewTask } from '../ledger/records.ts';
import { openSqliteLedger } from '../ledger/sqlite/open.ts';
import type { LogStore } from '../logs/contract.ts';
import { openSqliteLogStore } from '../logs/open.ts';
import { aNewRun, aTaskRecord, start } from '../testing/builders.ts';
import { Board } from './board.ts';
import type { AuthenticatedRunner, Dispatch } from './contract.ts';
import { createDispatch } from './dispatch.ts';
import { explainWaiting } from './explain.ts';
import { Matcher } from './offers.ts';
import { Sessions } from './sessions.ts';
import { startSweeper } from './sweeper.ts';

/** The production dispatcher over the production ledger and log store, with an injected clock. */
interface Bench {
  readonly ledger: Ledger;
  readonly logs: LogStore;
  readonly board: Board;
  readonly sessions: Sessions;
  readonly dispatch: Dispatch;
  readonly runners: CacheStore<Runner>;
  sweep(): Promise<void>;
  now: number;
}

let folder = '';
let bench: Bench;
const graceMs = 900_000;
const errors: unknown[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dispatch-'));
  const ledger = await openSqliteLedger({ file: join(folder, 'ledger.db') });
  const logs = await openSqliteLogStore({ dir: join(folder, 'logs') });
  const runners = createCacheStore<Runner>((error) => errors.push(error));
  const now = (): number => bench.now;
  const board = new Board();
  const sessions = new Sessions({ runners, now });
  const matcher = new Matcher({ board, sessions, ledger, now, onError: (error) => errors.push(error) });
  const dispatch = createDispatch({ ledger, logs, board, sessions, matcher, now, random: () => 0.5 });
  const sweeper = startSweeper({ ledger, logs, board, now, graceMs, onError: (error) => errors.push(error) });
  sweeper.stop();
  bench = { ledger, logs, board, sessions, dispatch, runners, sweep: sweeper.sweep, now: start };
});

afterEach(async () => {
  await bench.ledger.close();
  await bench.logs.close();
  await rm(folder, { recursive: true });
  expect(errors.splice(0)).toEqual([]);
});

let version = 0;
const addRunner = (name: string, spec: RunnerSpec = {}): AuthenticatedRunner => {
  bench.runners.set({
    apiVersion: 'outrider.dev/v1alpha1',
    kind: 'Runner',
    metadata: {
      name,
      namespace: 'payments',
      uid: name,
      resourceVersion: `${++version}`,
      generation: 1,
      creationTimestamp: '2026-11-22T12:00:00Z',
    },
    spec,
  });
  return { clientId: `key-${name}`, namespace: 'payments', name, local: false };
};

const hello = (over: Partial<SessionRequest> = {}): SessionRequest => ({
  protocolVersion: 1,
  version: '0.1.0',
  startedAt: '2026-11-22T12:00:00.000Z',
  capacity: 2,
  nodes: ['ssh-exec', 'kubectl-exec', 'local-exec'],
  inventory: [],
  ...over,
});

const live = new AbortController().signal;

/** A runner as far as the operator sees it. */
const connect = async (runner: AuthenticatedRunner, over: Partial<SessionRequest> = {}) => {
  const opened = await bench.dispatch.openSession(runner, hello(over));
  const envelope = { session: opened.session, generation: opened.generation };
  return {
    ...opened,
    envelope,
    poll: (held: { task: string; epoch: number }[] = [], signal = live) =>
      bench.dispatch.poll(
        runner,
        { ...envelope, capacity: 2, load: held.length, held, now: new Date(bench.now).toISOString() },
        signal,
      ),
    accept: (...attempts: { task: string; epoch: number }[]) =>
      bench.dispatch.accept(runner, { ...envelope, attempts }),
    started: (ref: { task: string; epoch: number }) =>
      bench.dispatch.report(runner, { ...envelope, reports: [{ ...ref, kind: 'Started' }] }),
    result: (ref: { task: string; epoch: number }, result: TaskResult = success) =>
      bench.dispatch.report(runner, { ...envelope, reports: [{ ...ref, kind: 'Result', result }] }),
  };
};

const success: TaskResult = {
  outcome: 'Succeeded',
  exitCode: 0,
  startedAt: '2026-11-22T12:00:01.000Z',
  finishedAt: '2026-11-22T12:00:02.000Z',
  log: { length: 0, sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' },
};

const aTask = (id: string, over: Partial<NewTask> = {}): NewTask => {
  const { spec } = aTaskRecord();
  return { id, stepIndex: 0, target: id, spec, tags: [], local: false, ...over };
};

/** Makes tasks Ready, as the planner does. */
const ready = async (...tasks: NewTask[]): Promise<void> => {
  await bench.ledger.createRun({ run: aNewRun(), tasks });
  const known = await bench.ledger.readRun(aNewRun().uid);
  const transitions = tasks.map((task) => ({
    task: task.id,
    from: 'Pending' as const,
    to: 'Ready' as const,
    queueDeadline: bench.now + 3_600_000,
  }));
  const { tasks: changed } = await bench.ledger.applyPlan(
    { runUid: aNewRun().uid, revision: known?.run.revision ?? 0, transitions },
    bench.now,
  );
  bench.board.apply(changed);
};

const stateOf = async (id: string) => (await bench.ledger.readTask(id))?.state;
const ref = (offer: { task: string; epoch: number } | undefined) => {
  if (!offer) throw new Error('nothing was offered');
  return { task: offer.task, epoch: offer.epoch };
};

describe('a waiting poll', () => {
  test('is answered by the commit that makes a task ready', async () => {
    const runner = await connect(addRunner('r1'));
    const poll = runner.poll();
    await ready(aTask('t1'));
    const { offers } = await poll;
    expect(offers.map((offer) => [offer.task, offer.epoch])).toEqual([['t1', 1]]);
    expect(await stateOf('t1')).toBe('Offered');
  });

  test('gets no more offers than the operator itself counts as free', async () => {
    const runner = await connect(addRunner('r1', { limits: { concurrency: 5 } }), { capacity: 2 });
    const poll = runner.poll();
    await ready(aTask('t1'), aTask('t2'), aTask('t3'));
    expect((await poll).offers).toHaveLength(2);
    expect(await stateOf('t3')).toBe('Ready');
  });

  test('of a client that has gone away takes no offer with it', async () => {
    const runner = await connect(addRunner('r1'));
    const gone = new AbortController();
    const lost = runner.poll([], gone.signal);
    gone.abort();
    expect((await lost).offers).toEqual([]);
    const poll = runner.poll();
    await ready(aTask('t1'));
    expect((await poll).offers).toHaveLength(1);
  });

  test('goes to the runner that has all tags, and to no other', async () => {
    const plain = await connect(addRunner('plain', { tags: ['production'] }));
    const both = await connect(addRunner('both', { tags: ['production', 'us-east-1'] }));
    const polls = [plain.poll(), both.poll()];
    await ready(aTask('t1', { tags: ['production', 'us-east-1'] }));
    expect((await polls[1])?.offers).toHaveLength(1);
    expect((await bench.ledger.readTask('t1'))?.runnerName).toBe('both');
  });
});

describe('an offer', () => {
  test('that nobody accepts goes back, and its epoch cannot be accepted any more', async () => {
    const runner = await connect(addRunner('r1'));
    const poll = runner.poll();
    await ready(aTask('t1'));
    const first = ref((await poll).offers[0]);
    bench.now += 10_001;
    await bench.sweep();
    expect(await stateOf('t1')).toBe('Ready');
    const { attempts } = await runner.accept(first);
    expect(attempts[0]?.status).toBe('Refused');
    const second = (await runner.poll()).offers[0];
    expect(second?.epoch).toBe(2);
  });

  test('is accepted once, and a repeated accept gets the same answer', async () => {
    const runner = await connect(addRunner('r1'));
    const poll = runner.poll();
    await ready(aTask('t1'));
    const offer = ref((await poll).offers[0]);
    expect((await runner.accept(offer)).attempts[0]?.status).toBe('Recorded');
    expect((await runner.accept(offer)).attempts[0]?.status).toBe('Duplicate');
  });
});

const running = async (name = 'r1') => {
  const identity = addRunner(name);
  const runner = await connect(identity);
  const poll = runner.poll();
  await ready(aTask('t1'));
  const offer = ref((await poll).offers[0]);
  await runner.accept(offer);
  await runner.started(offer);
  return { identity, runner, offer };
};

describe('a running attempt', () => {
  test('becomes Unknown when its runner does not list it twice, and Lost after the grace, never Ready', async () => {
    const { runner } = await running();
    const cut = AbortSignal.abort();
    await runner.poll([], cut);
    expect(await stateOf('t1')).toBe('Running');
    await runner.poll([], cut);
    expect(await stateOf('t1')).toBe('Unknown');
    bench.now += graceMs + 1;
    await bench.sweep();
    expect(await stateOf('t1')).toBe('Lost');
  });

  test('becomes Unknown when its lease runs out, and ends truly when the same session reports its result', async () => {
    const { runner, offer } = await running();
    bench.now += 90_001;
    await bench.sweep();
    expect(await stateOf('t1')).toBe('Unknown');
    expect((await runner.result(offer)).reports[0]?.status).toBe('Recorded');
    expect(await stateOf('t1')).toBe('Succeeded');
  });

  test('keeps its lease as long as polls list it', async () => {
    const { runner, offer } = await running();
    for (let i = 0; i < 10; i++) {
      bench.now += 40_000;
      await runner.poll([offer], AbortSignal.abort());
      await bench.sweep();
    }
    expect(await stateOf('t1')).toBe('Running');
  });

  test('goes on under a new session of the same key whose journal lists it', async () => {
    const { identity, offer } = await running();
    const generation = bench.ledger.generation;
    const again = await connect(identity, { inventory: [{ ...offer, generation, state: 'Started' }] });
    expect(again.attempts.map(({ decision }) => decision)).toEqual(['Continue']);
    expect((await again.result(offer)).reports[0]?.status).toBe('Recorded');
    expect(await stateOf('t1')).toBe('Succeeded');
  });

  test('is cancelled by an open poll at once, and told again only with the next news', async () => {
    const { runner, offer } = await running();
    const poll = runner.poll([offer]);
    bench.board.apply((await bench.ledger.requestCancel(aNewRun().uid, bench.now)).tasks);
    expect((await poll).cancels).toEqual([{ ...offer, reason: 'Cancelled' }]);
    const cut = new AbortController();
    const next = runner.poll([offer], cut.signal);
    cut.abort();
    expect((await next).cancels).toEqual([]);
  });

  test('that was given up is to be abandoned by a runner that still holds it', async () => {
    const { runner, offer } = await running();
    bench.now += 90_001;
    await bench.sweep();
    bench.now += graceMs + 1;
    await bench.sweep();
    expect((await runner.poll([offer])).cancels).toEqual([{ ...offer, reason: 'Abandoned' }]);
  });

  test('takes log bytes from its own runner only, after its end too', async () => {
    const { identity, runner, offer } = await running();
    const other = addRunner('other');
    const session = (await connect(other)).session;
    const chunk = { ...offer, offset: 0, bytes: new Uint8Array(0) };
    await runner.result(offer);
    expect((await bench.dispatch.logs(other, session, [chunk])).attempts[0]?.error?.code).toBe(
      'EpochMismatch',
    );
    expect((await bench.dispatch.logs(identity, runner.session, [chunk])).attempts[0]?.error).toBeUndefined();
  });

  test('gets secrets while it is held, and none after its end or for another runner', async () => {
    const { identity, runner, offer } = await running();
    const request = { ...runner.envelope, ...offer, reference: 'vault:x' };
    expect((await bench.dispatch.authorizeSecrets(identity, request)).id).toBe('t1');
    await expect(bench.dispatch.authorizeSecrets(identity, { ...request, epoch: 2 })).rejects.toMatchObject({
      code: 'EpochMismatch',
    });
    await runner.result(offer);
    await expect(bench.dispatch.authorizeSecrets(identity, request)).rejects.toMatchObject({
      code: 'StateMismatch',
    });
  });
});

describe('a session', () => {
  test('of an older process is refused once a newer one is open', async () => {
    const runner = addRunner('r1');
    const old = await connect(runner);
    await connect(runner);
    await expect(old.poll()).rejects.toMatchObject({ code: 'SessionSuperseded' });
  });

  test('is quarantined when sessions of one key alternate', async () => {
    const runner = addRunner('clone');
    for (let i = 0; i < 12; i++) await connect(runner);
    await expect(connect(runner)).rejects.toMatchObject({ code: 'SessionQuarantined' });
    bench.now += 60_001;
    await expect(connect(runner)).resolves.toBeDefined();
  });

  test('of a revoked key is cut, its open poll included', async () => {
    const identity = addRunner('r1');
    const runner = await connect(identity);
    const poll = runner.poll();
    const cut = expect(poll).rejects.toMatchObject({ code: 'RunnerRevoked' });
    await expect.poll(() => bench.sessions.list()[0]?.connected).toBe(true);
    bench.dispatch.revoke(identity.clientId);
    await cut;
  });

  test('with another ledger generation is sent back to open a new one', async () => {
    const runner = addRunner('r1');
    const { session } = await connect(runner);
    const request = {
      session,
      generation: 'other',
      capacity: 1,
      load: 0,
      held: [],
      now: new Date(start).toISOString(),
    };
    await expect(bench.dispatch.poll(runner, request, live)).rejects.toMatchObject({
      code: 'GenerationMismatch',
    });
  });
});

describe('a task that nobody can take', () => {
  test('says which tags it needs and what the closest runners lack', async () => {
    await connect(addRunner('near', { tags: ['production'] }));
    await connect(addRunner('far', { suspend: true }));
    await ready(aTask('t1', { tags: ['production', 'us-east-1'] }));
    const task = bench.board.get('t1');
    if (!task) throw new Error('t1 is not on the board');
    expect(explainWaiting(task, bench.sessions)).toEqual({
      reason: 'NoRunner',
      message:
        'Needs a runner of namespace payments with the tags production, us-east-1 (node ssh-exec). No online runner qualifies. ' +
        'Closest: near: it lacks the tag us-east-1; far: it lacks the tags production, us-east-1 and it is suspended.',
    });
  });

  test('is offered as soon as the Runner resource permits it', async () => {
    const runner = await connect(addRunner('r1'));
    const poll = runner.poll();
    await ready(aTask('t1', { tags: ['production'] }));
    expect(await stateOf('t1')).toBe('Ready');
    addRunner('r1', { tags: ['production'] });
    await poll;
    expect((await runner.poll()).offers).toHaveLength(1);
  });
});
