import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { result } from '@outrider/operator/ledger/invariants/builders';
import type { Ledger } from '@outrider/operator/ledger/ledger';
import type { TaskRecord, TaskState } from '@outrider/operator/ledger/records';
import { eventually } from './eventually.ts';
import {
  accept,
  databaseOf,
  graceMs,
  now,
  offer,
  openSession,
  readyRun,
  runner,
  usePostgres,
} from './ledger-postgres-fixture.ts';

const postgres = usePostgres();

/** States of tasks as this operator was told of them by others. */
const listen = (ledger: Ledger) => {
  const told = new Map<string, TaskState>();
  ledger.onChange((tasks) => {
    for (const { id, state } of tasks) told.set(id, state);
  });
  return told;
};

const two = async (sweepMs = 1000) => {
  const url = await postgres.server.createDatabase();
  const one = await postgres.open(url, { sweepMs });
  const other = await postgres.open(url, { sweepMs });
  return { url, one, other };
};

describe('news of other operators', () => {
  test('come at once, and one hears nothing of what it did itself', async () => {
    // No sweep in this time: what arrives was notified.
    const { one, other } = await two(600_000);
    const toOther = listen(other);
    const toOne = listen(one);
    const tasks = await readyRun(one, 'run', 2);
    await eventually(() => expect([...toOther]).toEqual(tasks.map((id) => [id, 'Ready'])));
    const by = await openSession(other, runner('left'));
    await offer(other, by, [tasks[0] ?? '']);
    await eventually(() => expect([...toOne]).toEqual([[tasks[0], 'Offered']]));
    expect([...toOther.values()]).toEqual(['Ready', 'Ready']);
  });

  test('are never its own, which a look meets, too', async () => {
    const { one, other } = await two(20);
    const toOne = listen(one);
    const toOther = listen(other);
    const [task = ''] = await readyRun(one, 'run', 1);
    await eventually(() => expect(toOther.get(task)).toBe('Ready'));
    // Looks follow one another: by the time of the next news there was one after the last commit.
    const [next = ''] = await readyRun(other, 'run-next', 1);
    await eventually(() => expect(toOne.get(next)).toBe('Ready'));
    expect([...toOne.keys()]).toEqual([next]);
  });

  test('that follow on its own commit are told after the answer to that, however late it comes', async () => {
    const url = await postgres.server.createDatabase();
    const { cutter, through } = await postgres.cutter(url);
    const one = await postgres.open(through, { writers: 1, sweepMs: 20 });
    const other = await postgres.open(url);
    const [task = ''] = await readyRun(one, 'run', 1);
    const [witness = ''] = await readyRun(one, 'run-witness', 1);
    const by = await openSession(one, runner('left'));
    const seen: string[] = [];
    one.onChange((tasks) => seen.push(...tasks.map(({ id, state }) => `${id} ${state} told`)));
    const release = cutter.holdNext();
    const offered = offer(one, by, [task]).then((answer) => {
      for (const { id, state } of answer.tasks) seen.push(`${id} ${state} answered`);
    });
    await eventually(async () => expect((await other.readTask(task))?.state).toBe('Offered'));
    await accept(other, by, [task]);
    await offer(other, by, [witness]);
    await eventually(() => expect(seen).toEqual([`${witness} Offered told`]));
    release();
    await offered;
    await eventually(() =>
      expect(seen).toEqual([`${witness} Offered told`, `${task} Offered answered`, `${task} Claimed told`]),
    );
  });

  test('of more tasks than a notification can name come all the same', async () => {
    const { one, other } = await two(600_000);
    const told = listen(other);
    const tasks = await readyRun(one, 'run', 3000);
    await eventually(() => expect(told.size).toBe(3000));
    expect(new Set(told.values())).toEqual(new Set(['Ready']));
    expect([...told.keys()].toSorted()).toEqual(tasks.toSorted());
  });

  test('that were lost with the listening session are found by the next look', async () => {
    const { url, one, other } = await two();
    const told = listen(other);
    const [task = ''] = await readyRun(one, 'run', 1);
    await eventually(() => expect(told.get(task)).toBe('Ready'));
    const sessions = `FROM pg_stat_activity WHERE datname = '${databaseOf(url)}' AND application_name LIKE '%/listener'`;
    const by = await openSession(one, runner('left'));
    await postgres.server.query(`SELECT pg_terminate_backend(pid) ${sessions}`);
    await offer(one, by, [task]);
    await eventually(() => expect(told.get(task)).toBe('Offered'));
    await eventually(async () =>
      expect((await postgres.server.query(`SELECT count(*)::integer AS count ${sessions}`))[0]).toEqual({
        count: 2,
      }),
    );
  });

  test('are not missed when a transaction ends after younger ones that were seen already', async () => {
    const { url, one, other } = await two(50);
    const told = listen(other);
    const [slow = ''] = await readyRun(one, 'run-slow', 1);
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    // Without a notification, as if this operator died after its commit.
    await client.query('BEGIN');
    await client.query(`UPDATE tasks SET message = 'late' WHERE id = '${slow}'`);
    const messages = new Map<string, string | null>();
    other.onChange((tasks) => {
      for (const { id, message } of tasks) messages.set(id, message);
    });
    for (let index = 0; index < 20; index += 1) {
      const [task = ''] = await readyRun(one, `run-${index}`, 1);
      await eventually(() => expect(told.get(task)).toBe('Ready'));
    }
    expect(messages.get(slow)).not.toBe('late');
    await client.query('COMMIT');
    await client.end();
    await eventually(() => expect(messages.get(slow)).toBe('late'));
  });

  test('tell of a new generation', async () => {
    const { one, other } = await two();
    await one.enterRecovery({ generation: 'e'.repeat(32), reason: 'a copy was put back', now });
    expect(one.generation).toBe('e'.repeat(32));
    await eventually(() => expect(other.generation).toBe('e'.repeat(32)));
  });

  test(
    'and its own answers, put together as they come, are what the ledger holds',
    { timeout: 120_000 },
    async () => {
      const url = await postgres.server.createDatabase();
      const boards = await Promise.all(
        Array.from({ length: 3 }, async () => {
          const ledger = await postgres.open(url, { sweepMs: 200 });
          const board = new Map<string, TaskRecord>();
          const put = (tasks: readonly TaskRecord[]): void => {
            for (const task of tasks) board.set(task.id, task);
          };
          ledger.onChange(put);
          return { ledger, board, put };
        }),
      );
      const [first] = boards;
      if (first === undefined) throw new Error('no operator');
      const runs = await Promise.all(
        Array.from({ length: 30 }, (_, index) => readyRun(first.ledger, `run-${index}`, 10)),
      );
      const tasks = runs.flat();
      const by = await openSession(first.ledger, runner('left'));
      // Each step of a task is made by another operator than the one before, as soon as that has its answer.
      await Promise.all(
        tasks.map(async (task, index) => {
          const at = (step: number) => boards[(index + step) % boards.length] ?? first;
          const ref = { task, epoch: 1 };
          at(0).put((await offer(at(0).ledger, by, [task])).tasks);
          at(1).put((await accept(at(1).ledger, by, [task])).tasks);
          const started = await at(2).ledger.recordReports({
            by,
            reports: [{ ...ref, kind: 'Started' }],
            now,
          });
          at(2).put(started.tasks);
          if (index % 3 === 0) return;
          const reports = [{ ...ref, kind: 'Result' as const, result: result('Succeeded') }];
          at(3).put((await at(3).ledger.recordReports({ by, reports, now })).tasks);
        }),
      );
      first.put((await first.ledger.expire({ now: now + 90_000, graceMs })).tasks);
      const stored = (await first.ledger.openRuns()).flatMap((run) => run.tasks);
      expect(stored.length).toBe(300);
      for (const { board } of boards) {
        await eventually(() => expect(stored.map(({ id }) => board.get(id))).toEqual(stored));
      }
    },
  );
});
