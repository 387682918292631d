import { describe, expect, test } from 'vitest';
import type { Ledger } from '@outrider/operator/ledger/ledger';
import { eventually } from './eventually.ts';
import {
  databaseOf,
  now,
  offer,
  openSession,
  readyRun,
  runner,
  usePostgres,
} from './ledger-postgres-fixture.ts';

const postgres = usePostgres();
const entry = (number: number) => ({
  at: now + number,
  actor: 'test',
  action: 'Count',
  object: 'counter',
  details: { number },
});
const countedIn = async (ledger: Ledger): Promise<readonly number[]> =>
  (await ledger.listAudit({ limit: 1_000_000 }))
    .map(({ details }) => Number(details['number']))
    .toSorted((a, b) => a - b);

/** Records one after the other from several callers at once; what was answered, and what was refused. */
const countWhile = async (ledger: Ledger, work: () => Promise<void>) => {
  const answered: number[] = [];
  const refused: unknown[] = [];
  let next = 0;
  const stop = new AbortController();
  const line = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      next += 1;
      const mine = next;
      await ledger.audit(entry(mine)).then(
        () => answered.push(mine),
        (error: unknown) => refused.push(error),
      );
    }
  };
  const lines = Array.from({ length: 16 }, line);
  await eventually(() => expect(answered.length).toBeGreaterThan(100));
  await work();
  const before = answered.length;
  await eventually(() => expect(answered.length).toBeGreaterThan(before + 100));
  stop.abort();
  await Promise.all(lines);
  return { answered: answered.toSorted((a, b) => a - b), refused };
};

describe('a commit whose answer is lost', () => {
  test.each(['Before', 'After'] as const)(
    'is found out about at the server and made exactly once (cut %s the server did it)',
    async (when) => {
      const url = await postgres.server.createDatabase();
      const { cutter, through } = await postgres.cutter(url);
      const ledger = await postgres.open(through, { writers: 1 });
      await ledger.audit(entry(0));
      for (let number = 1; number <= 20; number += 1) {
        cutter.cutNext(when);
        await ledger.audit(entry(number));
      }
      expect(cutter.cuts()).toBe(20);
      expect(await countedIn(ledger)).toEqual(Array.from({ length: 21 }, (_, number) => number));
    },
  );

  test('gives the answer of the command that was made, not that of a repetition', async () => {
    const url = await postgres.server.createDatabase();
    const { cutter, through } = await postgres.cutter(url);
    const ledger = await postgres.open(through, { writers: 1 });
    const tasks = await readyRun(ledger, 'run', 3);
    const by = await openSession(ledger, runner('left'));
    cutter.cutNext('After');
    // Told twice, the second offer of the same epoch would be refused.
    expect(await offer(ledger, by, tasks)).toMatchObject({ refused: [], tasks: [{}, {}, {}] });
    expect(cutter.cuts()).toBe(1);
  });
});

describe('a server', () => {
  test('that ends all sessions at work loses nothing, and nobody notices', async () => {
    const url = await postgres.server.createDatabase();
    const ledger = await postgres.open(url);
    const { answered, refused } = await countWhile(ledger, async () => {
      for (let round = 0; round < 5; round += 1) {
        expect(await postgres.server.terminateSessions(databaseOf(url))).toBeGreaterThan(0);
        await eventually(async () => expect(await ledger.readTask('none')).toBeUndefined());
      }
    });
    expect(refused).toEqual([]);
    expect(await countedIn(ledger)).toEqual(answered);
  });

  test('that loses power and comes back has every answered command, each once', async () => {
    const url = await postgres.server.createDatabase();
    const ledger = await postgres.open(url, { patienceMs: 60_000 });
    const { answered, refused } = await countWhile(ledger, async () => {
      for (let round = 0; round < 3; round += 1) {
        await postgres.server.kill();
        await postgres.server.start();
      }
    });
    expect(refused).toEqual([]);
    expect(await countedIn(ledger)).toEqual(answered);
  });

  test('that stays away is said to be away after the patience of a call, and the ledger goes on by itself', async () => {
    const url = await postgres.server.createDatabase();
    const ledger = await postgres.open(url, { patienceMs: 1500 });
    await ledger.audit(entry(1));
    await postgres.server.halt();
    const start = performance.now();
    const { host, pathname } = new URL(url);
    const away = {
      code: 'Unavailable',
      message: expect.stringMatching(
        `^The ledger postgres://${host}${pathname} cannot be reached \\(`,
      ) as string,
      action:
        'Check that the server runs, takes connections and is no standby; the operator goes on by itself when it is back. ' +
        'Nothing of this command was kept; it is tried again by whoever sent it.',
    };
    await Promise.all([
      expect(ledger.audit(entry(2))).rejects.toMatchObject(away),
      expect(ledger.readTask('none')).rejects.toMatchObject(away),
      expect(ledger.readRun('none')).rejects.toMatchObject(away),
    ]);
    expect(performance.now() - start).toBeGreaterThan(1400);
    expect(performance.now() - start).toBeLessThan(6000);
    const waiting = ledger.audit(entry(3));
    await postgres.server.start();
    await waiting.catch(() => ledger.audit(entry(3)));
    expect(await countedIn(ledger)).toEqual([1, 3]);
  });

  test('that is held up by somebody else keeps calls waiting for so long and no longer', async () => {
    const url = await postgres.server.createDatabase();
    const ledger = await postgres.open(url, { patienceMs: 1000, lockMs: 300, maxWaiting: 50, writers: 1 });
    // A lock on the table stands for a slow transaction: commands wait for it at the server.
    const blocker = postgres.server.query(
      'BEGIN; LOCK TABLE audit IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(4); COMMIT',
      databaseOf(url),
    );
    await eventually(async () => {
      const locked = await postgres.server.query(
        "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'audit'::regclass",
        databaseOf(url),
      );
      expect(locked.length).toBe(1);
    });
    const first = ledger.audit(entry(1));
    const rest = Array.from({ length: 60 }, (_, index) => ledger.audit(entry(index + 2)));
    const outcomes = await Promise.allSettled([first, ...rest]);
    const messages = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' && outcome.reason instanceof Error ? [outcome.reason.message] : [],
    );
    expect(messages.length).toBe(61);
    const name = `ledger postgres://${new URL(url).host}${new URL(url).pathname}`;
    expect(messages).toContain(`The ${name} is busy: 50 commands wait already.`);
    expect(messages).toContain(
      `The ${name} is held up by another operator (canceling statement due to lock timeout).`,
    );
    await blocker;
    await ledger.audit(entry(99));
    expect(await countedIn(ledger)).toEqual([99]);
  });
});
