import { planRun } from '../../planner/plan.ts';
import type { ActionOf } from './actions.ts';
import {
  dayMs,
  graceMs,
  killGraceMs,
  killOverdue,
  offerMs,
  queueMs,
  runnerOf,
  snapshot,
  taskOf,
  type Copies,
  type World,
} from './world.ts';

/** The production planner, until it has nothing to say. */
export const plan = async (world: World): Promise<void> => {
  const known = await snapshot(world);
  const made = planRun({
    ...known,
    now: world.now,
    queueTimeoutMs: queueMs,
    recovering: world.isRecovering,
  });
  if (made === undefined) return;
  const { tasks } = await world.ledger.applyPlan(made, world.now);
  world.told = tasks;
};

export const cancel = async (world: World): Promise<void> => {
  const { tasks } = await world.ledger.requestCancel(world.runUid, world.now);
  world.told = tasks;
};

export const setPaused = async (world: World, paused: boolean): Promise<void> => {
  const { tasks } = await world.ledger.setPaused({ runUid: world.runUid, paused, now: world.now });
  world.told = tasks;
};

export const offer = async (world: World, action: { runner: number; task: number }): Promise<void> => {
  const task = await taskOf(world, action.task);
  const runner = runnerOf(world, action.runner);
  if (task === undefined || runner.isCutOff || world.isRecovering) return;
  const { tasks } = await world.ledger.offerTasks({
    to: runner.speaker,
    tasks: [{ task: task.id, epoch: task.epoch }],
    now: world.now,
    expiresAt: world.now + offerMs,
  });
  world.told = tasks;
};

export const markUnknown = async (world: World, action: ActionOf<'markUnknown'>): Promise<void> => {
  const task = await taskOf(world, action.task);
  if (task === undefined) return;
  const { tasks } = await world.ledger.markUnknown({
    attempts: [{ task: task.id, epoch: task.epoch }],
    now: world.now,
    reason: 'NotHeld',
  });
  world.told = tasks;
};

export const decide = async (world: World, action: ActionOf<'decide'>): Promise<void> => {
  const chosen = await taskOf(world, action.task);
  // A decision names a step and a target: what it says to a probe, it says to the task that the probe is about.
  const task = chosen?.probeOf ? await world.ledger.readTask(chosen.probeOf) : chosen;
  if (task === undefined) return;
  world.sequence += 1;
  const epoch = task.epoch - action.back;
  const { tasks, problem } = await world.ledger.decide({
    uid: `${world.runUid}-decision-${world.sequence}`,
    runUid: world.runUid,
    step: 'restart',
    target: task.target,
    epoch,
    decision: action.decision,
    by: 'alice',
    reason: 'looked at it',
    now: world.now,
  });
  world.told = tasks;
  if (problem !== undefined) return;
  if (action.decision !== 'Release' && (task.state !== 'AwaitingHuman' || action.back !== 0))
    throw new Error(`a decision was applied to attempt ${epoch} of ${task.state} task ${task.id}`);
  if (action.decision !== 'Retry') world.released.add(task.id);
  for (let cleared = 1; cleared <= task.epoch; cleared += 1) world.cleared.add(`${task.id}/${cleared}`);
};

/** What the verify script said lets another attempt follow. */
export const noteAnswers = async (world: World): Promise<void> => {
  for (const { id, onLost, state, reason, epoch } of (await snapshot(world)).tasks)
    if (onLost === 'Verify' && state === 'Ready' && reason === 'Retrying')
      world.cleared.add(`${id}/${epoch}`);
};

export const pass = async (world: World, { ms, swept }: ActionOf<'pass'>): Promise<void> => {
  world.now += ms;
  await killOverdue(world);
  if (!swept) return;
  const { tasks } = await world.ledger.expire({ now: world.now, graceMs, killGraceMs });
  world.told = tasks;
  for (const { id, state, finishedAt } of (await snapshot(world)).tasks)
    if (finishedAt !== null && state !== 'Succeeded' && finishedAt + dayMs <= world.now)
      world.released.add(id);
};

/** What a person keeps of the ledger, to put it back some day. */
export const copy = async (world: World, copies: Copies): Promise<void> => {
  if (world.isRecovering) return;
  copies.copy();
  world.copiedResults = new Map(world.results);
};

/** The operator finds out, and every runner has to open a session with the ledger as it was. */
export const putBack = async (world: World, copies: Copies): Promise<void> => {
  if (world.isRecovering || !copies.putBack()) return;
  world.sequence += 1;
  world.results = new Map(world.copiedResults);
  const { tasks } = await world.ledger.enterRecovery({
    generation: `${world.runUid}-generation-${world.sequence}`,
    reason: 'A copy was put back.',
    now: world.now,
  });
  world.told = tasks;
  world.isRecovering = true;
  for (const runner of world.runners) runner.isCutOff = true;
};

export const confirm = async (world: World): Promise<void> => {
  const { tasks } = await world.ledger.leaveRecovery({ by: 'alice', now: world.now });
  world.told = tasks;
  world.isRecovering = false;
};
