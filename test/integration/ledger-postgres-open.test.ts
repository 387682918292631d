import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { writeFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { newRun, newTask } from '@outrider/operator/ledger/invariants/builders';
import { openPostgresLedger } from '@outrider/operator/ledger/postgres/open';
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

const script = fileURLToPath(new URL('./ledger-postgres-child.ts', import.meta.url));
const named = (url: string): string => `ledger postgres://${new URL(url).host}${new URL(url).pathname}`;
const versionIs = (url: string, version: number) =>
  postgres.server.query(`INSERT INTO migrations VALUES (${version}, 'future', 0)`, databaseOf(url));

describe('openPostgresLedger', () => {
  test('makes the schema and the generation once, though six operators start together', async () => {
    const url = await postgres.server.createDatabase();
    const ledgers = await Promise.all(Array.from({ length: 6 }, () => postgres.open(url)));
    const [first] = ledgers;
    expect(first?.generation).toMatch(/^[0-9a-f]{32}$/);
    expect(new Set(ledgers.map(({ generation }) => generation)).size).toBe(1);
    expect(await postgres.server.query('SELECT version, name FROM migrations', databaseOf(url))).toEqual([
      { version: 1, name: 'initial' },
    ]);
    const other = await postgres.open(await postgres.server.createDatabase());
    expect(other.generation).not.toBe(first?.generation);
  });

  test('commits durably, even where the database says otherwise', async () => {
    const url = await postgres.server.createDatabase();
    await postgres.server.query(`ALTER DATABASE ${databaseOf(url)} SET synchronous_commit = off`);
    const ledger = await postgres.open(url);
    await ledger.takeTerm();
    const { commitMs, ...diagnostics } = await ledger.diagnostics();
    expect(diagnostics).toEqual({ journalMode: 'postgresql', synchronous: 'on', commits: 1 });
    expect(commitMs.length).toBe(1);
    const sessions = await postgres.server.query(
      `SELECT DISTINCT split_part(application_name, '/', 3) AS purpose FROM pg_stat_activity WHERE datname = '${databaseOf(url)}' AND application_name LIKE 'outrider/%' ORDER BY 1`,
    );
    expect(sessions.map(({ purpose }) => purpose)).toEqual(['listener', 'writer-0', 'writer-1']);
  });

  test('takes a hundred commands at once with a few commits, and a failing one rolls back alone', async () => {
    const url = await postgres.server.createDatabase();
    const ledger = await postgres.open(url, { writers: 1 });
    await readyRun(ledger, 'run', 1);
    const { commits: before } = await ledger.diagnostics();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 100 }, (_, index) =>
        ledger.createRun({
          run: newRun(`run-${index}`, index),
          // One has a task whose id is taken: what was written before that goes, too.
          tasks:
            index === 50
              ? [newTask('fresh-50', 'run-50', 1), newTask('run-task-0', 'run-50', 0)]
              : [newTask(`fresh-${index}`, `run-${index}`, 0)],
        }),
      ),
    );
    expect(outcomes.flatMap(({ status }, index) => (status === 'rejected' ? [index] : []))).toEqual([50]);
    expect((await ledger.diagnostics()).commits - before).toBeLessThanOrEqual(5);
    expect((await ledger.listRuns({ limit: 1000 })).length).toBe(100);
    expect(await ledger.readRun('run-50')).toBeUndefined();
    expect(await ledger.readTask('fresh-50')).toBeUndefined();
  });

  test('serves a schema one version ahead, also when that comes while it is at work, and refuses one further ahead', async () => {
    const url = await postgres.server.createDatabase();
    const running = await postgres.open(url);
    // Its statements are prepared by now, for the tables as they are.
    const [first = ''] = await readyRun(running, 'run-before', 1);
    const by = await openSession(running, runner('left'));
    await running.readRun('run-before');
    await versionIs(url, 2);
    // What such a version adds has defaults: an operator that does not know of it goes on writing.
    await postgres.server.query(
      "ALTER TABLE tasks ADD COLUMN hue text NOT NULL DEFAULT 'none'; ALTER TABLE runs ADD COLUMN hue text; CREATE TABLE hues (hue text)",
      databaseOf(url),
    );
    const started = await postgres.open(url);
    for (const [index, ledger] of [running, started].entries()) {
      const [task = ''] = await readyRun(ledger, `run-after-${index}`, 1);
      expect((await offer(ledger, by, [task])).tasks).toMatchObject([{ state: 'Offered' }]);
    }
    expect((await offer(running, by, [first])).tasks).toMatchObject([{ state: 'Offered' }]);
    expect((await running.readRun('run-before'))?.tasks).toMatchObject([{ state: 'Offered' }]);
    await versionIs(url, 3);
    await expect(postgres.open(url)).rejects.toMatchObject({
      code: 'Unavailable',
      message: `The ${named(url)} has schema version 3; this operator knows version 1 and can serve one version more at most.`,
    });
  });

  test('refuses at once what waiting does not help, and says what to look at', async () => {
    const url = await postgres.server.createDatabase();
    const wrong = new URL(url);
    wrong.password = 'wrong';
    const action =
      "Check the user, the password and the database in --ledger-url; the database's owner has the rights that are needed.";
    await expect(openPostgresLedger({ url: wrong.toString(), replica: 'a' })).rejects.toMatchObject({
      code: 'Unavailable',
      message: `The ${named(url)} does not let this operator in (password authentication failed for user "outrider").`,
      action,
    });
    await expect(
      openPostgresLedger({ url: postgres.server.url('nowhere'), replica: 'a' }),
    ).rejects.toMatchObject({
      message: `The ${named(postgres.server.url('nowhere'))} does not let this operator in (database "nowhere" does not exist).`,
      action,
    });
  });

  test('waits for a server that is not there yet, and gives up after its patience', async () => {
    const url = await postgres.server.createDatabase();
    await postgres.server.halt();
    await expect(postgres.open(url, { patienceMs: 300 })).rejects.toMatchObject({
      code: 'Unavailable',
      message: expect.stringContaining(`The ${named(url)} cannot be reached`) as string,
    });
    const opening = postgres.open(url, { patienceMs: 60_000 });
    await postgres.server.start();
    expect((await opening).restored).toBeUndefined();
  });

  test('answers what was called before close, and refuses what is called after', async () => {
    const url = await postgres.server.createDatabase();
    const ledger = await postgres.open(url);
    const before = ledger.takeTerm();
    const closing = ledger.close();
    await expect(ledger.takeTerm()).rejects.toMatchObject({
      code: 'Unavailable',
      message: `The ${named(url)} is closed.`,
    });
    expect(await before).toBe(1);
    await closing;
    await eventually(async () =>
      expect(
        await postgres.server.query(
          `SELECT pid FROM pg_stat_activity WHERE datname = '${databaseOf(url)}' AND application_name LIKE 'outrider/%'`,
        ),
      ).toEqual([]),
    );
  });
});

describe('an operator that is killed', () => {
  test('has left every answered command in the database', { timeout: 120_000 }, async () => {
    for (let round = 0; round < 3; round += 1) {
      const url = await postgres.server.createDatabase();
      const child = spawn(process.execPath, ['--conditions=development', script, url], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const answered: number[] = [];
      for await (const line of createInterface({ input: child.stdout })) {
        answered.push(Number(line));
        if (answered.length === 100 + round * 37) child.kill('SIGKILL');
      }
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      expect(child.signalCode).toBe('SIGKILL');
      const ledger = await postgres.open(url);
      const kept = new Set(
        (await ledger.listAudit({ limit: 1_000_000 })).map(({ details }) => details['number']),
      );
      expect(answered.filter((number) => !kept.has(number))).toEqual([]);
      expect(answered.length).toBeGreaterThanOrEqual(100);
    }
  });
});

describe('an operator that is suspended', () => {
  test(
    'holds up nobody for longer than its transaction may rest, and goes on when it wakes',
    { timeout: 180_000 },
    async () => {
      const url = await postgres.server.createDatabase();
      const ledger = await postgres.open(url, { patienceMs: 30_000 });
      const child = spawn(process.execPath, ['--conditions=development', script, url, '2000'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      try {
        let answered = 0;
        createInterface({ input: child.stdout }).on('line', () => (answered += 1));
        let caught = 0;
        // Each look may come between two transactions; it comes again until it has met three.
        while (caught < 3) {
          const before = answered;
          await eventually(() => expect(answered).toBeGreaterThan(before + 10));
          child.kill('SIGSTOP');
          const held = await postgres.server.query(
            `SELECT pid FROM pg_stat_activity WHERE datname = '${databaseOf(url)}' AND state = 'idle in transaction' AND application_name LIKE 'outrider/child/%'`,
          );
          // It needs for itself what every transaction shares.
          if (held.length > 0) {
            caught += 1;
            expect(await ledger.takeTerm()).toBe(caught);
          }
          child.kill('SIGCONT');
        }
        const before = answered;
        await eventually(() => expect(answered).toBeGreaterThan(before + 100));
      } finally {
        child.kill('SIGKILL');
      }
    },
  );
});

describe('a standby', () => {
  test('is refused, and once it is promoted the ledger says that its history is another one, until recovery', async () => {
    const url = await postgres.server.createDatabase();
    const ledger = await postgres.open(url);
    expect(ledger.restored).toBeUndefined();
    const told: Error[] = [];
    ledger.onRestored((error) => told.push(error));
    await readyRun(ledger, 'run', 1);

    const signal = join(postgres.server.dataFolder, 'standby.signal');
    await postgres.server.halt();
    writeFileSync(signal, '');
    await postgres.server.start();
    await expect(postgres.open(url, { patienceMs: 300 })).rejects.toMatchObject({
      code: 'Unavailable',
      message: `The ${named(url)} is a standby and cannot be written.`,
    });
    await postgres.server.query('SELECT pg_promote(true)');
    rmSync(signal, { force: true });

    const refusal = {
      code: 'Unavailable',
      message: expect.stringMatching(
        `^The ${named(url)} was \\d+/00000001 \\(system and timeline\\) and is \\d+/00000002 now: it was restored from a backup, or a standby was promoted\\.$`,
      ) as string,
      action: 'The operator has to start again, and begins with recovery: look at `outrider recovery` then.',
    };
    await eventually(() => expect(told).toMatchObject([refusal]));
    await expect(ledger.takeTerm()).rejects.toMatchObject(refusal);
    await expect(ledger.readRun('run')).rejects.toMatchObject(refusal);

    const again = await postgres.open(url);
    expect(again.restored).toMatch(
      new RegExp(`^The ${named(url)} was written last as \\d+/00000001 \\(system and timeline\\) and is `),
    );
    const generation = 'f'.repeat(32);
    await again.enterRecovery({ generation, reason: again.restored ?? '', now });
    expect(again.generation).toBe(generation);
    expect((await postgres.open(url)).restored).toBeUndefined();
  });
});
