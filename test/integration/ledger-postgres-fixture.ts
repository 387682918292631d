import { afterAll, afterEach, beforeAll } from 'vitest';
import { newRun, newTask } from '@outrider/operator/ledger/invariants/builders';
import type { Ledger, Speaker } from '@outrider/operator/ledger/ledger';
import { openPostgresLedger } from '@outrider/operator/ledger/postgres/open';
import type { PostgresOptions } from '@outrider/operator/ledger/postgres/settings';
import type { NewTask } from '@outrider/operator/ledger/records';
import { startPostgres, type Postgres } from '../servers/postgres.ts';
import { startCommitCutter, type CommitCutter } from './commit-cutter.ts';

export const now = Date.UTC(2026, 10, 22, 12);
export const leaseExpiresAt = now + 90_000;
export const expiresAt = now + 10_000;
export const graceMs = 900_000;

/** A server for all tests of the calling file, and what they open on it; call it once, at the top. */
export const usePostgres = () => {
  let postgres: Postgres;
  const opened: Ledger[] = [];
  const cutters: CommitCutter[] = [];
  let replicas = 0;
  beforeAll(async () => {
    postgres = await startPostgres();
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((ledger) => ledger.close()));
    for (const cutter of cutters.splice(0)) cutter.close();
  });
  afterAll(() => postgres.stop());
  return {
    get server() {
      return postgres;
    },
    /** A way to this database that can be cut, and its URL. */
    cutter: async (url: string): Promise<{ cutter: CommitCutter; through: string }> => {
      const through = new URL(url);
      const cutter = await startCommitCutter({ host: through.hostname, port: Number(through.port) });
      cutters.push(cutter);
      through.port = String(cutter.port);
      return { cutter, through: through.toString() };
    },
    /** One more operator on this database. */
    open: async (url: string, options: Partial<PostgresOptions> = {}): Promise<Ledger> => {
      replicas += 1;
      const ledger = await openPostgresLedger({ url, replica: `operator-${replicas}`, ...options });
      opened.push(ledger);
      return ledger;
    },
  };
};

export const databaseOf = (url: string): string => new URL(url).pathname.slice(1);

export const runner = (name: string): Speaker => ({
  clientId: `key-${name}`,
  runnerName: name,
  session: `session-${name}`,
});

export const openSession = async (ledger: Ledger, by: Speaker): Promise<Speaker> => {
  await ledger.openSession({ by, inventory: [], now, leaseExpiresAt });
  return by;
};

/** A run whose tasks are all Ready; returns their ids. */
export const readyRun = async (
  ledger: Ledger,
  uid: string,
  count: number,
  change: Partial<NewTask> = {},
): Promise<readonly string[]> => {
  const tasks = Array.from({ length: count }, (_, index) =>
    newTask(`${uid}-task-${index}`, uid, index, change),
  );
  await ledger.createRun({ run: newRun(uid, now), tasks });
  const transitions = tasks.map(({ id }) => ({ task: id, from: 'Pending', to: 'Ready' }) as const);
  await ledger.applyPlan({ runUid: uid, revision: 1, transitions }, now);
  return tasks.map(({ id }) => id);
};

export const offer = (ledger: Ledger, to: Speaker, tasks: readonly string[], namespaceLimit = 0) =>
  ledger.offerTasks({
    to,
    tasks: tasks.map((task) => ({ task, epoch: 0 })),
    now,
    expiresAt,
    namespaceLimit,
  });

export const accept = (ledger: Ledger, by: Speaker, tasks: readonly string[], at = now) =>
  ledger.acceptAttempts({
    by,
    attempts: tasks.map((task) => ({ task, epoch: 1 })),
    now: at,
    leaseExpiresAt,
  });
