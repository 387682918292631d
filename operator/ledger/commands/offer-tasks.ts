import type { Changed, NotOffered, Speaker } from '../ledger.ts';
import { prepared } from '../prepared.ts';
import type { Millis } from '../records.ts';
import { isOneOf, type TaskRow, type Tx } from '../tables.ts';
import { insertOffered } from './attempts.ts';
import { Changes, findTask } from './changes.ts';
import { takeLock } from './locks.ts';
import { guardNormal } from './meta.ts';
import { settle } from './probes.ts';
import { requireSpeaker } from './sessions.ts';
import { toOffered } from './transitions.ts';

interface OfferTasks {
  to: Speaker;
  tasks: readonly { task: string; epoch: number }[];
  now: Millis;
  expiresAt: Millis;
  namespaceLimit?: number;
}

const pausedOf = prepared<{ runUid: string }, { paused: number }>((db, at) =>
  db.selectFrom('runs').select('paused').where('uid', '=', at('runUid')),
);

/** What is read once a command: how many more attempts a namespace may have held, and which runs are paused. */
class Admission {
  readonly #tx: Tx;
  readonly #limit: number;
  readonly #left = new Map<string, number>();
  readonly #paused = new Map<string, boolean>();

  constructor(tx: Tx, limit: number) {
    this.#tx = tx;
    this.#limit = limit;
  }

  async left(namespace: string): Promise<number> {
    if (this.#limit === 0) return Infinity;
    const known = this.#left.get(namespace);
    if (known !== undefined) return known;
    await this.#tx.lock(`namespace/${namespace}`);
    const { count } = await this.#tx.sql
      .selectFrom('tasks')
      .select((eb) => eb.fn.countAll<number | string>().as('count'))
      .where('namespace', '=', namespace)
      .where(isOneOf(['Offered', 'Claimed', 'Running', 'Unknown']))
      .executeTakeFirstOrThrow();
    const left = this.#limit - Number(count);
    this.#left.set(namespace, left);
    return left;
  }

  take(namespace: string): void {
    const left = this.#left.get(namespace);
    if (left !== undefined) this.#left.set(namespace, left - 1);
  }

  async isPaused(runUid: string): Promise<boolean> {
    const known = this.#paused.get(runUid);
    if (known !== undefined) return known;
    const [run] = await pausedOf(this.#tx, { runUid });
    this.#paused.set(runUid, run?.paused === 1);
    return run?.paused === 1;
  }
}

/** Why a Ready task has to wait. Its lock comes last, since taking it is what the offer is about. */
const obstacle = async (
  changes: Changes,
  task: TaskRow,
  admission: Admission,
): Promise<Omit<NotOffered, 'task'> | undefined> => {
  const { tx, now } = changes;
  if (task.not_before !== null && task.not_before > now)
    return { reason: 'BackOff', retryAt: task.not_before };
  // Finding out what happened is nothing new, and frees what others wait for.
  if (task.probe_of === null) {
    if (await admission.isPaused(task.run_uid)) return { reason: 'Paused' };
    if ((await admission.left(task.namespace)) <= 0) return { reason: 'QuotaReached', key: task.namespace };
  }
  if (await takeLock(tx, task, now)) return undefined;
  return { reason: 'TargetBusy', ...(task.lock_key === null ? {} : { key: task.lock_key }) };
};

/** @throws OutriderError SessionUnknown, SessionSuperseded, RecoveryActive: then the tasks stay Ready. */
export const offerTasks = async (
  tx: Tx,
  command: OfferTasks,
): Promise<Changed & { refused: readonly string[]; waiting: readonly NotOffered[] }> => {
  await guardNormal(tx);
  await requireSpeaker(tx, command.to);
  const changes = new Changes(tx, command.now);
  const admission = new Admission(tx, command.namespaceLimit ?? 0);
  const refused: string[] = [];
  const waiting: NotOffered[] = [];
  for (const { task, epoch } of command.tasks) {
    const read = await findTask(tx, task);
    if (read?.state !== 'Ready' || read.epoch !== epoch || read.cancel_requested === 1) {
      refused.push(task);
      continue;
    }
    const why = await obstacle(changes, read, admission);
    if (why !== undefined) {
      waiting.push({ task, ...why });
      continue;
    }
    const offered = await changes.move(read, toOffered(read, command.to, command.expiresAt), 'Offer');
    admission.take(read.namespace);
    await insertOffered(tx, offered, command.now);
  }
  return { tasks: await settle(changes), refused, waiting };
};
