import { OutriderError } from '@outrider/protocol';
import { runCommand } from '../commands/index.ts';
import type { Tx } from '../tables.ts';
import type { Answer, Call } from './call.ts';
import type { Connection } from './connection.ts';
import { isAway, isConflict } from './failures.ts';
import { chainsOf } from './chains.ts';
import { metaKey, resolveKeys, serverKeys, takeKeys, type Wanted } from './keys.ts';
import { formatOrigin } from './origin.ts';
import { leaveMark, type Mark } from './outcome.ts';

/**
 * `Together`: commands that touch different rows run interleaved, their statements sent without waiting for one another's
 * answers; the first that fails undoes all. `Apart`: one after the other with a savepoint each, so that one fails alone.
 */
export type Mode = 'Together' | 'Apart';

/** A transaction with its work done, before its commit. */
export interface Prepared {
  /** Number of the transaction: given out while its keys were held, so it grows with each change of a task. */
  readonly xid: number;
  readonly answers: readonly Answer[];
}

/** A command failed: run the group again, each command apart. */
export class GroupFailed extends Error {
  override readonly name = 'GroupFailed';
}

/** The only command of its transaction failed: its answer, since nothing else is undone with it. */
export class CommandRefused extends Error {
  override readonly name = 'CommandRefused';
  readonly reason: Error;

  constructor(reason: Error) {
    super(reason.message, { cause: reason });
    this.reason = reason;
  }
}

/** Failures of the transaction rather than of a command. */
const isOurs = (error: unknown): boolean => isAway(error) || isConflict(error);

/** It may be due to another transaction that came between a command's reading and its writing. */
const isStale = (error: unknown): boolean => error instanceof OutriderError && error.code === 'StateMismatch';

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

/** A restored ledger is taken for what it is once recovery has begun: with that, or not at all. */
const recordOrigin = async (tx: Tx, connection: Connection): Promise<void> => {
  const value = formatOrigin(connection.origin);
  await tx.sql
    .insertInto('meta')
    .values({ key: 'origin', value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
    .execute();
};

const runCall = async (tx: Tx, connection: Connection, call: Call): Promise<Answer> => {
  const value = await runCommand(tx, call.name, call.args);
  if (call.name === 'enterRecovery') await recordOrigin(tx, connection);
  return { call, ok: true, value };
};

interface Held {
  readonly wanted: ReadonlyMap<Call, Wanted>;
  readonly meta: 'Shared' | 'Exclusive';
}

const failureOf = (failures: readonly unknown[], calls: number): Error => {
  const own = failures.find(isOurs);
  if (own !== undefined) return asError(own);
  const [first] = failures;
  const isAnswer = calls === 1 && !(first instanceof GroupFailed) && !isStale(first);
  return isAnswer
    ? new CommandRefused(asError(first))
    : new GroupFailed('a command failed', { cause: first });
};

const together = async (connection: Connection, held: Held): Promise<readonly Answer[]> => {
  const runChain = async (chain: readonly Call[]): Promise<readonly Answer[]> => {
    const own = new Set(chain.flatMap((call) => [...(held.wanted.get(call)?.exclusive ?? [])]));
    const lock: Tx['lock'] = (key, mode) =>
      own.has(key) || (key === metaKey && (held.meta === 'Exclusive' || mode === 'Shared'))
        ? Promise.resolve()
        : Promise.reject(new GroupFailed(`${key} was not foreseen`));
    const tx: Tx = { sql: connection.sql, lock };
    const answers: Answer[] = [];
    for (const call of chain) answers.push(await runCall(tx, connection, call));
    return answers;
  };
  const chains = await Promise.allSettled(chainsOf(held.wanted).map(runChain));
  const failures = chains.flatMap((chain) => (chain.status === 'rejected' ? [chain.reason as unknown] : []));
  if (failures.length > 0) throw failureOf(failures, held.wanted.size);
  return chains.flatMap((chain) => (chain.status === 'fulfilled' ? chain.value : []));
};

const apart = async (connection: Connection, held: Held): Promise<readonly Answer[]> => {
  const taken = new Set(serverKeys(held.wanted.values()).exclusive);
  const lock: Tx['lock'] = async (key, mode = 'Exclusive') => {
    const has = taken.has(key) || (key === metaKey && (held.meta === 'Exclusive' || mode === 'Shared'));
    if (has) return;
    await takeKeys(connection, mode === 'Exclusive' ? [key] : [], mode === 'Shared' ? [key] : []);
    if (mode === 'Exclusive') taken.add(key);
  };
  const tx: Tx = { sql: connection.sql, lock };
  const answers: Answer[] = [];
  for (const call of held.wanted.keys()) {
    await connection.query('SAVEPOINT command');
    try {
      answers.push(await runCall(tx, connection, call));
      await connection.query('RELEASE command');
    } catch (error) {
      if (isOurs(error)) throw error;
      await connection.query('ROLLBACK TO command; RELEASE command');
      answers.push({ call, ok: false, error: asError(error) });
    }
  }
  return answers;
};

/**
 * Begins a transaction, takes what its commands need, and runs them. The transaction is left open, to be committed.
 * @throws GroupFailed, CommandRefused, and what the server or the connection failed with: then it is rolled back already.
 */
export const prepare = async (
  connection: Connection,
  calls: readonly Call[],
  { mode, mark }: { mode: Mode; mark: Mark },
): Promise<Prepared> => {
  try {
    const [, wanted] = await Promise.all([
      connection.query('BEGIN ISOLATION LEVEL READ COMMITTED'),
      resolveKeys(connection, calls),
    ]);
    const meta = calls.some(({ locks }) => locks.everything === true) ? 'Exclusive' : 'Shared';
    const { exclusive, shared } = serverKeys(wanted.values());
    // Sent one behind the other: the server does them in this order, and gives the number only once the locks are held.
    const [locked, xid, answers] = await Promise.allSettled([
      takeKeys(
        connection,
        meta === 'Exclusive' ? [...exclusive, metaKey] : exclusive,
        meta === 'Shared' ? [...shared, metaKey] : shared,
      ),
      leaveMark(connection, mark),
      (mode === 'Together' ? together : apart)(connection, { wanted, meta }),
    ]);
    if (locked.status === 'rejected') throw locked.reason;
    if (xid.status === 'rejected') throw xid.reason;
    if (answers.status === 'rejected') throw answers.reason;
    return { xid: xid.value, answers: answers.value };
  } catch (error) {
    await connection.query('ROLLBACK').catch(() => connection.abandon());
    throw error;
  }
};
