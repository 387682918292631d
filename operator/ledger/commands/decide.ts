import type { Problem } from '@outrider/protocol';
import type { Changed } from '../ledger.ts';
import type { Decision, Millis } from '../records.ts';
import type { TaskRow, Tx } from '../tables.ts';
import { endAttempt } from './attempts.ts';
import { insertAudit } from './audit.ts';
import { Changes } from './changes.ts';
import { freeUnconfirmed } from './locks.ts';
import { guardLeader } from './meta.ts';
import { queued } from './policies.ts';
import { settle } from './probes.ts';
import { toTerminal } from './transitions.ts';

interface Decide {
  uid: string;
  runUid: string;
  step: string;
  target: string;
  epoch: number;
  decision: Decision;
  by: string;
  reason: string;
  now: Millis;
  term?: number;
}

const again = 'Look at the run with `outrider status`, and decide about the attempt that it names.';

const whereOf = ({ step, target }: Decide): string =>
  target === '' ? `step ${step}` : `step ${step} on target ${target}`;

const notFound = (command: Decide): Problem => ({
  code: 'NotFound',
  message: `The run has no ${whereOf(command)}.`,
  action: again,
});

const otherAttempt = (command: Decide, task: TaskRow): Problem => ({
  code: 'EpochMismatch',
  message: `The decision is about attempt ${command.epoch} of ${whereOf(command)}, and the last one is ${task.epoch}.`,
  action: again,
});

const notAwaiting = (command: Decide, task: TaskRow): Problem => ({
  code: 'StateMismatch',
  message: `Attempt ${command.epoch} of ${whereOf(command)} waits for no decision: it is ${task.state}.`,
  action: again,
});

const nothingToRelease = (command: Decide): Problem => ({
  code: 'StateMismatch',
  message: `Attempt ${command.epoch} of ${whereOf(command)} takes no place of its target whose end is unconfirmed.`,
  action: 'Nothing is to be done: the target is not kept from others by it.',
});

const find = async (tx: Tx, command: Decide): Promise<TaskRow | undefined> => {
  const run = await tx.sql
    .selectFrom('runs')
    .select('steps')
    .where('uid', '=', command.runUid)
    .executeTakeFirst();
  const steps: { name: string }[] = run === undefined ? [] : JSON.parse(run.steps);
  return tx.sql
    .selectFrom('tasks')
    .selectAll()
    .where('run_uid', '=', command.runUid)
    .where(
      'step_index',
      '=',
      steps.findIndex(({ name }) => name === command.step),
    )
    .where('target', '=', command.target)
    .where('probe_of', 'is', null)
    .executeTakeFirst();
};

/** A person's word confirms the end; under Retry the place stays the task's own until its next attempt has ended. */
const apply = async (changes: Changes, command: Decide, task: TaskRow): Promise<void> => {
  const { now, decision, by } = command;
  const message = `${by} decided about attempt ${command.epoch}: ${command.reason}`;
  const how = decision === 'Retry' ? 'Unconfirmed' : 'Confirmed';
  const counted = await endAttempt(changes.tx, task, { ending: 'Decided', how }, now);
  const why = { reason: 'Decided', message };
  const change =
    decision === 'Succeeded' || decision === 'Failed'
      ? toTerminal(decision, now, why)
      : { ...queued(task, now), ...why, uncertain: 0 };
  await changes.move(task, { ...change, ...counted }, 'Decision');
};

const decideNow = async (changes: Changes, command: Decide): Promise<Problem | undefined> => {
  const task = await find(changes.tx, command);
  if (task === undefined) return notFound(command);
  if (command.decision === 'Release') {
    const freed = await freeUnconfirmed(changes.tx, { task: task.id, epoch: command.epoch });
    return freed ? undefined : nothingToRelease(command);
  }
  if (task.epoch !== command.epoch) return otherAttempt(command, task);
  if (task.state !== 'AwaitingHuman') return notAwaiting(command, task);
  await apply(changes, command, task);
  return undefined;
};

export const decide = async (tx: Tx, command: Decide): Promise<Changed & { problem?: Problem }> => {
  await guardLeader(tx, command.term);
  const { uid, now } = command;
  const known = await tx.sql
    .selectFrom('decisions')
    .select('problem')
    .where('uid', '=', uid)
    .executeTakeFirst();
  if (known !== undefined)
    return { tasks: [], ...(known.problem === null ? {} : { problem: JSON.parse(known.problem) }) };
  const changes = new Changes(tx, now);
  const problem = await decideNow(changes, command);
  await tx.sql
    .insertInto('decisions')
    .values({ uid, at: now, problem: problem === undefined ? null : JSON.stringify(problem) })
    .execute();
  const { runUid, step, target, epoch, decision, reason } = command;
  await insertAudit(tx, {
    at: now,
    actor: command.by,
    action: 'Decide',
    object: `Run/${runUid}`,
    details: { step, target, epoch, decision, reason, applied: problem === undefined },
  });
  return { tasks: await settle(changes), ...(problem === undefined ? {} : { problem }) };
};
