import { sql } from 'kysely';
import type { Tx } from '../ledger/tables.ts';
import type { Commands } from './memory.ts';
import type { Setup } from './world.ts';

/** A mistake that somebody could make in a command, and that the invariants must catch. */
export interface Mutation {
  readonly what: string;
  /** Where it shows. */
  readonly setup?: Partial<Setup>;
  readonly change: (commands: Commands) => Partial<Commands>;
}

const currentSession = async (tx: Tx, clientId: string): Promise<string> => {
  const row = await tx.sql
    .selectFrom('sessions')
    .select('session')
    .where('client_id', '=', clientId)
    .where('superseded_at', 'is', null)
    .executeTakeFirstOrThrow();
  return row.session;
};

const epochOf = async (tx: Tx, task: string): Promise<number> => {
  const row = await tx.sql
    .selectFrom('tasks')
    .select('epoch')
    .where('id', '=', task)
    .executeTakeFirstOrThrow();
  return row.epoch;
};

/** Unknown attempts end, and their tasks wait for another: quietly, as if it were right. */
const queueUnknown = async (tx: Tx, now: number): Promise<void> => {
  const unknown = await tx.sql.selectFrom('tasks').select('id').where('state', '=', 'Unknown').execute();
  if (unknown.length === 0) return;
  const ids = unknown.map(({ id }) => id);
  await tx.sql
    .updateTable('attempts')
    .set({ ended_at: now, ending: 'Expired' })
    .where('ended_at', 'is', null)
    .where('task', 'in', ids)
    .execute();
  await tx.sql
    .updateTable('tasks')
    .set({ state: 'Ready', queue_deadline: now + 3_600_000, unknown_since: null, lease_expires_at: null })
    .where('id', 'in', ids)
    .execute();
  await tx.sql
    .updateTable('runs')
    .set((eb) => ({ revision: eb('revision', '+', 1) }))
    .execute();
};

export const mutations: readonly Mutation[] = [
  {
    what: 'an offer is accepted after it expired',
    change: ({ acceptAttempts }) => ({
      acceptAttempts: (tx, command) => acceptAttempts(tx, { ...command, now: 0 }),
    }),
  },
  {
    what: 'a report counts for the current epoch, whichever it names',
    setup: {
      onLost: 'Retry',
      tasks: 1,
      budget: { faults: 6, crashes: 2, passes: 6, cancels: 0, decisions: 0, polls: 1 },
    },
    change: ({ recordReports }) => ({
      recordReports: async (tx, command) => {
        const reports = [];
        for (const report of command.reports)
          reports.push({ ...report, epoch: await epochOf(tx, report.task) });
        return recordReports(tx, { ...command, reports });
      },
    }),
  },
  {
    what: 'a superseded session is still heard when it accepts',
    change: ({ acceptAttempts }) => ({
      acceptAttempts: async (tx, command) => {
        const session = await currentSession(tx, command.by.clientId);
        return acceptAttempts(tx, { ...command, by: { ...command.by, session } });
      },
    }),
  },
  {
    what: 'a poll renews what it does not list',
    change: ({ renewLeases }) => ({
      renewLeases: async (tx, command) => {
        const rows = await tx.sql
          .selectFrom('tasks')
          .select(['id as task', 'epoch'])
          .where('runner', '=', command.by.clientId)
          .execute();
        return renewLeases(tx, { ...command, attempts: rows });
      },
    }),
  },
  {
    what: 'a lost attempt goes back to the queue under Fail',
    setup: { onLost: 'Fail' },
    change: ({ expire }) => ({
      expire: async (tx, command) => {
        const changed = await expire(tx, command);
        await queueUnknown(tx, command.now);
        return changed;
      },
    }),
  },
  {
    what: 'a task is offered while its attempt is Unknown',
    change: ({ offerTasks }) => ({
      offerTasks: async (tx, command) => {
        await queueUnknown(tx, command.now);
        return offerTasks(tx, command);
      },
    }),
  },
  {
    what: 'a plan is applied whatever happened since it was made',
    change: ({ applyPlan }) => ({
      applyPlan: async (tx, plan, now) => {
        const { revision } = await tx.sql
          .selectFrom('runs')
          .select('revision')
          .where('uid', '=', plan.runUid)
          .executeTakeFirstOrThrow();
        return applyPlan(tx, { ...plan, revision }, now);
      },
    }),
  },
  {
    what: 'a second result replaces the first',
    change: ({ recordReports }) => ({
      recordReports: async (tx, command) => {
        for (const { task, epoch } of command.reports) {
          await tx.sql
            .updateTable('attempts')
            .set({ result: null, result_digest: null })
            .where('task', '=', task)
            .where('epoch', '=', epoch)
            .execute();
        }
        return recordReports(tx, command);
      },
    }),
  },
  {
    what: 'a report leaves the revision as it was',
    change: ({ recordReports }) => ({
      recordReports: async (tx, command) => {
        const { revision } = await tx.sql.selectFrom('runs').select('revision').executeTakeFirstOrThrow();
        const recorded = await recordReports(tx, command);
        await tx.sql.updateTable('runs').set({ revision }).execute();
        return recorded;
      },
    }),
  },
  {
    what: 'the place on a target is free as soon as its holder is not heard of',
    setup: { tasks: 2, locked: true },
    change: ({ expire }) => ({
      expire: async (tx, command) => {
        const changed = await expire(tx, command);
        await sql`DELETE FROM locks WHERE task IN (SELECT id FROM tasks WHERE state IN ('Unknown', 'Lost'))`.execute(
          tx.sql,
        );
        return changed;
      },
    }),
  },
  {
    what: 'what a restarted runner does not list goes back to the queue',
    change: ({ openSession }) => ({
      openSession: async (tx, command) => {
        const opened = await openSession(tx, command);
        await queueUnknown(tx, command.now);
        return opened;
      },
    }),
  },
];
