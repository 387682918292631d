import { createHash } from 'node:crypto';
import type { Call } from './call.ts';
import type { Connection } from './connection.ts';
import { namespaceKey, placeKey, runKey, type LockSet } from './lock-sets.ts';

/** Held by every writing transaction, alone by those that change what all others read first. As commands/meta.ts asks for it. */
export const metaKey = 'meta';

interface Found {
  readonly id: string;
  readonly runner: string | null;
  readonly run_uid: string;
  readonly namespace: string;
  readonly lock_key: string | null;
}

const namedSql = 'SELECT id, NULL AS runner, run_uid, namespace, lock_key FROM tasks WHERE id = ANY($1)';
const heldSql = `SELECT id, runner, run_uid, namespace, lock_key FROM tasks WHERE runner = ANY($1)
  AND state IN ('Offered', 'Claimed', 'Running', 'Unknown', 'Verifying', 'AwaitingHuman')`;
/** More than `expire` will find to do is locked, never less: unknown_since has no deadline of its own. */
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

const keysOfTask = ({ run_uid, namespace, lock_key }: Found, locks: LockSet): readonly string[] => [
  runKey(run_uid),
  ...(lock_key === null ? [] : [placeKey(lock_key)]),
  ...(locks.countsNamespaces === true ? [namespaceKey(namespace)] : []),
];

/** All keys that each call must have for itself, beside `metaKey`. */
export const resolveKeys = async (
  connection: Connection,
  calls: readonly Call[],
): Promise<ReadonlyMap<Call, ReadonlySet<string>>> => {
  const found = await findTasks(connection, calls);
  const byTask = Map.groupBy(found, ({ id }) => id);
  const byHolder = Map.groupBy(found, ({ runner }) => runner);
  const keys = new Map<Call, ReadonlySet<string>>();
  for (const call of calls) {
    const { locks } = call;
    const due =
      locks.dueAt === undefined ? [] : await connection.query<{ key: string }>(dueSql, [locks.dueAt]);
    const tasks = [
      ...locks.tasks.flatMap((id) => byTask.get(id) ?? []),
      ...locks.holders.flatMap((holder) => byHolder.get(holder) ?? []),
    ];
    keys.set(
      call,
      new Set([
        ...locks.keys,
        ...tasks.flatMap((task) => keysOfTask(task, locks)),
        ...due.map(({ key }) => key),
      ]),
    );
  }
  return keys;
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

/** Calls whose keys meet, directly or through others, in their order: each chain is free of all other chains. */
export const chainsOf = (keys: ReadonlyMap<Call, ReadonlySet<string>>): readonly (readonly Call[])[] => {
  const chainOfKey = new Map<string, Set<Call>>();
  const chains = new Set<Set<Call>>();
  for (const [call, wanted] of keys) {
    const chain = new Set<Call>([call]);
    const met = new Set([...wanted].flatMap((key) => chainOfKey.get(key) ?? []));
    for (const other of met) {
      for (const member of other) chain.add(member);
      chains.delete(other);
    }
    chains.add(chain);
    for (const member of chain) for (const key of keys.get(member) ?? []) chainOfKey.set(key, chain);
  }
  const order = new Map([...keys.keys()].map((call, index) => [call, index]));
  return Array.from(chains, (chain) =>
    [...chain].sort((one, other) => (order.get(one) ?? 0) - (order.get(other) ?? 0)),
  );
};
