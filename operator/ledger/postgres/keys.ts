import { createHash } from 'node:crypto';
import type { Call } from './call.ts';
import type { Connection } from './connection.ts';
import { namespaceKey, placeKey, runKey, taskKey } from './lock-sets.ts';

/** Held by every writing transaction, alone by those that change what all others read first. As commands/meta.ts asks for it. */
export const metaKey = 'meta';

/** The keys of one call, all of them known. */
export interface Wanted {
  readonly exclusive: ReadonlySet<string>;
  readonly shared: ReadonlySet<string>;
}

interface Found {
  readonly id: string;
  readonly runner: string | null;
  readonly run_uid: string;
  readonly namespace: string;
  readonly lock_key: string | null;
  readonly probe_of: string | null;
}

const namedSql =
  'SELECT id, NULL AS runner, run_uid, namespace, lock_key, probe_of FROM tasks WHERE id = ANY($1)';
const heldSql = `SELECT id, runner, run_uid, namespace, lock_key, probe_of FROM tasks WHERE runner = ANY($1)
  AND state IN ('Offered', 'Claimed', 'Running', 'Unknown', 'Verifying', 'AwaitingHuman')`;
/** More than `expire` will find to do, never less: unknown_since has no deadline of its own. */
const dueSql = `
SELECT 'run/' || run_uid AS key FROM tasks WHERE state = 'Offered' AND offer_expires_at <= $1
UNION SELECT 'run/' || run_uid FROM tasks WHERE state = 'Ready' AND queue_deadline <= $1
UNION SELECT 'run/' || run_uid FROM tasks WHERE state IN ('Claimed', 'Running') AND lease_expires_at <= $1
UNION SELECT 'run/' || run_uid FROM tasks WHERE state = 'Unknown'
UNION SELECT 'run/' || run_uid FROM tasks WHERE state IN ('Blocked', 'Verifying', 'AwaitingHuman') AND deadline <= $1
UNION SELECT 'lock/' || key FROM locks WHERE unconfirmed = 1 AND expires_at <= $1`;

const distinct = <T>(items: readonly T[]): T[] => [...new Set(items)];

/** Which rows the commands will touch, as far as only the ledger knows. What is read here never changes for a task. */
const findTasks = async (connection: Connection, calls: readonly Call[]): Promise<readonly Found[]> => {
  const tasks = distinct(calls.flatMap(({ locks }) => locks.tasks));
  const holders = distinct(calls.flatMap(({ locks }) => locks.holders));
  const found = await Promise.all([
    tasks.length === 0 ? [] : connection.query<Found>(namedSql, [tasks]),
    holders.length === 0 ? [] : connection.query<Found>(heldSql, [holders]),
  ]);
  return found.flat();
};

const dueKeys = async (connection: Connection, dueAt: number | undefined): Promise<readonly string[]> => {
  if (dueAt === undefined) return [];
  const rows = await connection.query<{ key: string }>(dueSql, [dueAt]);
  return rows.map(({ key }) => key);
};

/** A probe and the task that it is about answer for each other. */
const taskKeys = ({ id, probe_of, lock_key }: Found): readonly string[] => [
  taskKey(id),
  ...(probe_of === null ? [] : [taskKey(probe_of)]),
  ...(lock_key === null ? [] : [placeKey(lock_key)]),
];

/** All keys of each call, beside `metaKey`. */
export const resolveKeys = async (
  connection: Connection,
  calls: readonly Call[],
): Promise<ReadonlyMap<Call, Wanted>> => {
  const found = await findTasks(connection, calls);
  const byTask = Map.groupBy(found, ({ id }) => id);
  const byHolder = Map.groupBy(found, ({ runner }) => runner);
  const wanted = new Map<Call, Wanted>();
  for (const call of calls) {
    const { locks } = call;
    const tasks = [
      ...locks.tasks.flatMap((id) => byTask.get(id) ?? []),
      ...locks.holders.flatMap((holder) => byHolder.get(holder) ?? []),
    ];
    const namespaces = locks.countsNamespaces === true ? tasks.map(({ namespace }) => namespace) : [];
    const due = await dueKeys(connection, locks.dueAt);
    wanted.set(call, {
      exclusive: new Set([
        ...locks.keys,
        ...tasks.flatMap(taskKeys),
        ...namespaces.map(namespaceKey),
        ...due,
      ]),
      // A command on some tasks of a run leaves the others to others; the run's revision counts for all.
      shared: new Set([...locks.shared, ...tasks.map(({ run_uid }) => runKey(run_uid))]),
    });
  }
  return wanted;
};

/** Advisory locks are numbers; two names that share one wait for each other for nothing. */
const numberOf = (key: string): bigint =>
  createHash('sha256').update(`outrider-ledger/${key}`).digest().readBigInt64BE();

/**
 * Taken in the order of their numbers by everybody, in one statement, before anything else is waited for: so nobody waits in
 * a circle. Held until the transaction ends, and its changes are visible before they are let go.
 */
const lockSql = `
SELECT count(CASE WHEN shared THEN pg_advisory_xact_lock_shared(key)::text ELSE pg_advisory_xact_lock(key)::text END)
FROM unnest($1::bigint[], $2::boolean[]) AS wanted (key, shared)`;

export const takeKeys = async (
  connection: Connection,
  exclusive: Iterable<string>,
  shared: Iterable<string>,
): Promise<void> => {
  const wanted = new Map<bigint, boolean>();
  for (const key of shared) wanted.set(numberOf(key), true);
  for (const key of exclusive) wanted.set(numberOf(key), false);
  const ordered = [...wanted].sort(([one], [other]) => (one < other ? -1 : 1));
  await connection.query(lockSql, [
    ordered.map(([number]) => String(number)),
    ordered.map(([, isShared]) => isShared),
  ]);
};

const startsWith = (prefix: string) => (key: string) => key.startsWith(prefix);
const isRun = startsWith(runKey(''));
const isTask = startsWith(taskKey(''));

/**
 * What a transaction takes at the server for these calls. A run is its own there, whatever its calls share: the row of the run
 * is written by each of them, and rows are not waited for in any order. Tasks then need no key of theirs.
 */
export const serverKeys = (
  wanted: Iterable<Wanted>,
): { readonly exclusive: readonly string[]; readonly shared: readonly string[] } => {
  const all = [...wanted];
  const shared = distinct(all.flatMap((keys) => [...keys.shared]));
  const exclusive = distinct(all.flatMap((keys) => [...keys.exclusive]));
  return {
    exclusive: [...exclusive.filter((key) => !isTask(key)), ...shared.filter(isRun)],
    shared: shared.filter((key) => !isRun(key)),
  };
};
