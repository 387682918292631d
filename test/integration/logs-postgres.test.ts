import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { AttemptRef } from '@outrider/protocol';
import { describeLogStore } from '../../operator/logs/log-store-suite.ts';
import { expected, frames, noon, ref } from '../../operator/logs/test-frames.ts';
import type { LogStore } from '../../operator/logs/contract.ts';
import { openPostgresLogStore } from '../../operator/logs/postgres/open.ts';
import { startPostgres, type Postgres } from '../servers/postgres.ts';
import { eventually } from './eventually.ts';

let postgres: Postgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres.stop();
});

const databaseOf = (url: string): string => new URL(url).pathname.slice(1);

const daysOf = async (url: string): Promise<readonly string[]> => {
  const rows = await postgres.query(
    `SELECT right(relname, 8) AS day FROM pg_class WHERE relname LIKE 'log\\_chunks\\_________' AND relkind = 'r' ORDER BY day`,
    databaseOf(url),
  );
  return rows.map(({ day }) => String(day).replace(/^(....)(..)(..)$/, '$1-$2-$3'));
};

describe('the log store in PostgreSQL', () => {
  describeLogStore(async () => {
    const url = await postgres.createDatabase('logs');
    return {
      open: (now) => openPostgresLogStore({ url, now }),
      days: () => daysOf(url),
      remove: async () => undefined,
    };
  });
});

/** Two stores of one database, as two replicas have them. */
const useReplicas = async (work: (stores: { a: LogStore; b: LogStore; url: string }) => Promise<void>) => {
  const url = await postgres.createDatabase('replicas');
  const [a, b] = await Promise.all([
    openPostgresLogStore({ url, now: () => noon }),
    openPostgresLogStore({ url, now: () => noon }),
  ]);
  try {
    await work({ a, b, url });
  } finally {
    await a.close();
    await b.close();
  }
};

describe('two replicas', () => {
  test('take the pieces of one log in turn, also in the middle of a frame, and seal it at either', () =>
    useReplicas(async ({ a, b }) => {
      const bytes = frames(['stdout', 'one\n'], ['stderr', 'two\n'], ['stdout', 'three\n']);
      const stores = [a, b];
      for (let at = 0; at < bytes.length; at += 7) {
        const [answer] = await stores[(at / 7) % 2]!.append([
          { ...ref, offset: at, bytes: bytes.subarray(at, at + 7) },
        ]);
        expect(answer).toEqual({ ...ref, offset: Math.min(at + 7, bytes.length) });
      }
      expect(await b.seal(ref, expected(bytes))).toEqual({
        offset: bytes.length,
        lines: 3,
        end: 'Complete',
      });
      expect((await a.lines(ref, { from: 0, limit: 10 })).map(({ text }) => text)).toEqual([
        'one',
        'two',
        'three',
      ]);
    }));

  test('that are sent the same bytes at once keep them once', () =>
    useReplicas(async ({ a, b }) => {
      const bytes = frames(...Array.from({ length: 200 }, (_, n) => ['stdout', `line ${n}\n`] as const));
      const send = async (store: LogStore): Promise<void> => {
        for (let at = 0; at < bytes.length; at += 97)
          await store.append([{ ...ref, offset: at, bytes: bytes.subarray(at, at + 97) }]);
      };
      await Promise.all([send(a), send(b)]);
      expect(await a.seal(ref, expected(bytes))).toEqual({
        offset: bytes.length,
        lines: 200,
        end: 'Complete',
      });
    }));

  test('that write many attempts in opposite orders wait for each other and lose nothing', () =>
    useReplicas(async ({ a, b }) => {
      const bytes = frames(['stdout', 'hello\n'], ['stdout', 'world\n']);
      const refs = Array.from({ length: 40 }, (_, n) => ({ task: `task-${n}`, epoch: 1 }));
      const chunks = (part: Buffer, offset: number, of: readonly AttemptRef[]) =>
        of.map((each) => ({ ...each, offset, bytes: part }));
      for (let round = 0; round < 5; round += 1)
        await Promise.all([a.append(chunks(bytes, 0, refs)), b.append(chunks(bytes, 0, refs.toReversed()))]);
      for (const each of refs) expect((await b.seal(each, expected(bytes))).end).toBe('Complete');
    }));

  test('hear of what the other commits', () =>
    useReplicas(async ({ a, b }) => {
      const heard: AttemptRef[] = [];
      const stop = b.onCommit((refs) => heard.push(...refs));
      await a.append([{ ...ref, offset: 0, bytes: frames(['stdout', 'a\n']) }]);
      await eventually(() => expect(heard).toContainEqual(ref));
      stop();
    }));

  test('hear of it by the sweep when the message was lost with its connection', () =>
    useReplicas(async ({ a, b, url }) => {
      const heard: AttemptRef[] = [];
      const stop = b.onCommit((refs) => heard.push(...refs));
      await postgres.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'outrider-log-tail'",
        databaseOf(url),
      );
      await a.append([{ ...ref, offset: 0, bytes: frames(['stdout', 'a\n']) }]);
      await eventually(() => expect(heard).toContainEqual(ref));
      stop();
    }));
});

test(
  'a server that is killed loses no acknowledged byte, and the store goes on when it is back',
  { timeout: 90_000 },
  () =>
    useReplicas(async ({ a, b }) => {
      const lines = Array.from({ length: 400 }, (_, n) => frames(['stdout', `line ${n}\n`]));
      const all = Buffer.concat(lines);
      let acknowledged = 0;
      const sendNext = async (): Promise<void> => {
        const bytes = all.subarray(acknowledged, acknowledged + 64);
        const [answer] = await a.append([{ ...ref, offset: acknowledged, bytes }]);
        acknowledged = answer?.offset ?? acknowledged;
      };
      const send = async (): Promise<void> => {
        while (acknowledged < all.length) await vi.waitFor(sendNext, { timeout: 30_000 });
      };
      const sending = send();
      await vi.waitFor(() => expect(acknowledged).toBeGreaterThan(1000), { timeout: 10_000 });
      await postgres.kill();
      const before = acknowledged;
      await expect(b.state(ref)).rejects.toThrow('The log store in PostgreSQL did not answer');
      await postgres.start();
      expect((await b.state(ref)).offset).toBeGreaterThanOrEqual(before);
      await sending;
      expect(await b.seal(ref, expected(all))).toMatchObject({ offset: all.length, end: 'Complete' });
    }),
);

test('a server that cannot be reached is said to be away, and what to look at', async () => {
  await expect(
    openPostgresLogStore({ url: 'postgres://nobody:secret@127.0.0.1:1/none' }),
  ).rejects.toMatchObject({
    code: 'Unavailable',
    message: 'The log store in PostgreSQL did not answer (connect ECONNREFUSED 127.0.0.1:1).',
    action:
      'Check that the server of --ledger-url runs, takes connections and has space; runners keep their logs and send them again.',
  });
});
