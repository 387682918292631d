import type { TaskSpec } from '@outrider/protocol';
import type { Updateable } from 'kysely';
import type { TaskRecord } from '../records.ts';
import { noTask } from '../rows.ts';
import type { TaskRow, TasksTable } from '../tables.ts';
import { endAttempt, endOpenAttempts } from './attempts.ts';
import { findTask, type Changes } from './changes.ts';
import { isPoisoned, maxVerified, poisonedMessage, queued, verifyDeadline, withCrash } from './policies.ts';
import { toAwaitingHuman, toTerminal } from './transitions.ts';

/** `outrider decide` with what it needs to know of this attempt. */
export const decideCommand = (task: TaskRow): string => {
  const { run, step, namespace }: TaskSpec = JSON.parse(task.spec);
  const target = task.target === '' ? '' : ` --target ${task.target}`;
  return `outrider decide ${run} ${step} -n ${namespace}${target} --attempt ${task.epoch} --succeeded|--failed|--retry --reason TEXT`;
};

/** What a person needs to know to decide. */
export const askMessage = (task: TaskRow, what: string): string =>
  `${what} Check ${task.target === '' ? 'its target' : task.target}, then say how it ended: ${decideCommand(task)}`;

export interface Probe {
  /** The probe's TaskSpec, as JSON. */
  readonly verify: string;
  readonly cause: 'Policy' | 'Result';
  /** What happened to the attempt, as a sentence. */
  readonly why: string;
  /** What else became known of the task. */
  readonly told?: Updateable<TasksTable>;
}

/** Makes the probe, Ready for any runner that qualifies. The task waits for its answer. */
export const startProbe = async (
  changes: Changes,
  task: TaskRow,
  { verify, cause, why, told = {} }: Probe,
): Promise<void> => {
  const { tx, now } = changes;
  const { count } = await tx.sql
    .selectFrom('tasks')
    .select((eb) => eb.fn.countAll<number | string>().as('count'))
    .where('probe_of', '=', task.id)
    .executeTakeFirstOrThrow();
  const spec: TaskSpec = JSON.parse(verify);
  const revision = await changes.revise(task.run_uid);
  const probe = await tx.sql
    .insertInto('tasks')
    .values({
      ...noTask,
      id: `${task.id}-v${Number(count) + 1}`,
      run_uid: task.run_uid,
      namespace: task.namespace,
      priority: task.priority,
      step_index: task.step_index,
      target: task.target,
      spec: verify,
      tags: task.tags,
      local: task.local,
      probe_of: task.id,
      revision,
      ...queued({ ...task, queue_ms: null }, now),
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  changes.told(probe);
  await changes.move(
    task,
    {
      ...told,
      state: 'Verifying',
      deadline: verifyDeadline(spec.timeoutMs, now),
      lease_expires_at: null,
      reason: 'Verifying',
      message: `${why} The step's verify script finds out whether attempt ${task.epoch} did its work.`,
    },
    cause,
  );
};

/** 0: it was done. 1: it was not. Anything else is no answer. */
const answerOf = (probe: TaskRow): 'Done' | 'NotDone' | 'None' => {
  if (probe.state === 'Succeeded') return 'Done';
  const result: TaskRecord['result'] = probe.result === null ? null : JSON.parse(probe.result);
  return probe.state === 'Failed' && result?.exitCode === 1 ? 'NotDone' : 'None';
};

const whyNone = (task: TaskRow, probe: TaskRow): string => {
  const why = probe.message ?? probe.reason ?? '';
  return `The verify script of attempt ${task.epoch} ended ${probe.state}${why === '' ? '.' : `: ${why}`}`;
};

const lostOften = (task: TaskRow): string =>
  `Attempt ${task.epoch} was lost, too, and the verify script says that it was not done.`;

const takeAnswer = async (changes: Changes, task: TaskRow, probe: TaskRow): Promise<void> => {
  const { tx, now } = changes;
  const answer = answerOf(probe);
  if (answer === 'Done') {
    const counted = await endAttempt(tx, task, { ending: 'Verified', how: 'Confirmed' }, now);
    const message = `The verify script says that attempt ${task.epoch}, which was lost with runner ${task.runner_name}, was done.`;
    const why = { reason: 'Verified', message };
    await changes.move(task, { ...toTerminal('Succeeded', now, why), ...counted }, 'Probe');
    return;
  }
  if (answer === 'None' || task.epoch >= maxVerified) {
    const message = askMessage(task, answer === 'None' ? whyNone(task, probe) : lostOften(task));
    await changes.move(task, toAwaitingHuman(now, { reason: 'AwaitingHuman', message }), 'Probe');
    return;
  }
  // Not done is not the same as ended: the place stays its own, unconfirmed, until the next attempt has ended.
  const counted = await endAttempt(tx, task, { ending: 'Verified', how: 'Unconfirmed' }, now);
  const crash = withCrash(task);
  const message = `The verify script says that attempt ${task.epoch}, which was lost with runner ${task.runner_name}, was not done.`;
  const change = isPoisoned(crash)
    ? toTerminal('Failed', now, { reason: 'Poisoned', message: poisonedMessage(task) })
    : { ...queued(task, now), reason: 'Retrying', message };
  await changes.move(task, { ...change, ...counted, ...crash }, 'Probe');
};

/** What asked for the probe has its answer otherwise: an unstarted probe goes, a running one is cancelled. */
const withdraw = async (changes: Changes, task: TaskRow): Promise<void> => {
  const { tx, now } = changes;
  const probes = await tx.sql
    .selectFrom('tasks')
    .selectAll()
    .where('probe_of', '=', task.id)
    .where('state', 'in', ['Pending', 'Blocked', 'Ready', 'Offered', 'Claimed', 'Running', 'Unknown'])
    .execute();
  const message = 'What it was to find out is known.';
  for (const probe of probes) {
    const isOffered = probe.state === 'Offered';
    if (probe.state === 'Ready' || isOffered) {
      const epoch = probe.epoch + (isOffered ? 1 : 0);
      const change = toTerminal('Cancelled', now, { reason: 'Cancelled', message });
      await changes.move(probe, { ...change, epoch }, 'Withdraw');
      await endOpenAttempts(tx, [probe.id], 'Withdrawn', now);
    } else await changes.flagCancelled(probe);
  }
};

/** What ends a command that moves tasks: probes that ended answer for their tasks, probes that nobody needs go. */
export const settle = async (changes: Changes): Promise<readonly TaskRecord[]> => {
  for (const probe of changes.takeEndedProbes()) {
    const task = await findTask(changes.tx, probe.probe_of ?? '');
    if (task?.state === 'Verifying') await takeAnswer(changes, task, probe);
  }
  for (const task of changes.takeLeftVerifying()) await withdraw(changes, task);
  return changes.records();
};
