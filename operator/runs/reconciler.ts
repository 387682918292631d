import type { Target, Workflow, WorkflowRun } from '@outrider/kinds';
import type { Board } from '../dispatch/board.ts';
import { explainWaiting, type Waiting } from '../dispatch/explain.ts';
import type { Sessions } from '../dispatch/sessions.ts';
import type { Cache, EventRecorder, StatusWriter, WorkQueue } from '../kube/contract.ts';
import { conditionsFrom } from '../kube/conditions.ts';
import { workflowRuns } from '../kube/resources.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { RunAndTasks } from '../ledger/records.ts';
import { planRun } from '../planner/plan.ts';
import { alreadyRan, decideStart, mustCancel } from './decide.ts';
import { runStatus, type RunStatusDraft } from './status.ts';

export interface RunsOptions {
  readonly runs: Cache<WorkflowRun>;
  readonly workflows: Cache<Workflow>;
  readonly targets: Cache<Target>;
  readonly ledger: Ledger;
  readonly board: Board;
  readonly sessions: Sessions;
  readonly status: StatusWriter;
  readonly events: EventRecorder;
  readonly now: () => number;
  readonly queueTimeoutMs: number;
}

const keyOf = (ref: { namespace: string; name: string }): string => `${ref.namespace}/${ref.name}`;

/** A waiting run is looked at again this often, for what its status says of runners that come and go. */
const explainEveryMs = 5000;
/** A runner for which a step waits may go away without telling: whether it is still there is looked at this often. */
const recheckBusyMs = 30_000;

/** Undefined while no step waits for a runner. */
const lookAgainMs = ({ tasks }: RunAndTasks, waiting: ReadonlyMap<string, Waiting>): number | undefined => {
  if (waiting.size > 0) return explainEveryMs;
  return tasks.some((task) => task.state === 'Ready') ? recheckBusyMs : undefined;
};

/** Reconciles one run: freeze it, or advance it by its plan; then its status follows from the ledger alone. */
export const createRunReconciler = (options: RunsOptions) => {
  const { ledger, board, now } = options;

  const recordEnd = (run: WorkflowRun, draft: RunStatusDraft): void => {
    const [completed] = draft.conditions;
    if (!completed || run.status?.phase === draft.phase || draft.completionTime === undefined) return;
    options.events.record(run, {
      type: draft.phase === 'Succeeded' ? 'Normal' : 'Warning',
      reason: completed.reason,
      action: 'Run',
      note: completed.message,
    });
  };

  const writeStatus = (run: WorkflowRun, draft: RunStatusDraft): void => {
    const before = run.status ?? {};
    const { generation } = run.metadata;
    const conditions = conditionsFrom(draft.conditions, before.conditions, { now: now(), generation });
    const completionTime = draft.completionTime && (before.completionTime ?? draft.completionTime);
    const status = { ...draft, ...(completionTime ? { completionTime } : {}), conditions };
    options.status.want(workflowRuns, run, status, { urgent: before.phase !== draft.phase });
    recordEnd(run, draft);
  };

  const start = async (run: WorkflowRun): Promise<RunAndTasks | undefined> => {
    const { namespace } = run.metadata;
    const workflow = options.workflows.get(namespace, run.spec.workflowRef.name);
    const decision = decideStart({ run, workflow, targets: options.targets.list(namespace), now: now() });
    if (decision.action === 'Wait') {
      writeStatus(run, decision.status);
      queue?.addAfter(keyOf(run.metadata), Math.min(decision.at - now(), 2 ** 31 - 1));
    }
    if (decision.action === 'End') writeStatus(run, decision.status);
    if (decision.action !== 'Start') return undefined;
    const { outcome } = await ledger.createRun({ run: decision.run, tasks: decision.tasks });
    if (outcome !== 'AlreadyRan') return ledger.readRun(run.metadata.uid);
    writeStatus(run, alreadyRan(run, now()));
    return undefined;
  };

  const advance = async (known: RunAndTasks): Promise<RunAndTasks> => {
    let current = known;
    for (;;) {
      const plan = planRun({ ...current, now: now(), queueTimeoutMs: options.queueTimeoutMs });
      if (!plan) return current;
      const { applied, run, tasks } = await ledger.applyPlan(plan, now());
      if (!applied) return (await ledger.readRun(run.uid)) ?? current;
      const written = new Map(tasks.map((task) => [task.id, task]));
      current = { run, tasks: current.tasks.map((task) => written.get(task.id) ?? task) };
      board.apply(tasks);
    }
  };

  const waitingOf = (known: RunAndTasks): Map<string, Waiting> => {
    const waiting = new Map<string, Waiting>();
    for (const task of known.tasks) {
      if (task.state !== 'Ready') continue;
      const why = explainWaiting(task, options.sessions);
      if (why.reason === 'NoRunner') waiting.set(task.id, why);
    }
    return waiting;
  };

  const reconcile = async (key: string): Promise<void> => {
    const [namespace = '', name = ''] = key.split('/');
    const run = options.runs.get(namespace, name);
    if (!run) return;
    let known = (await ledger.readRun(run.metadata.uid)) ?? (await start(run));
    if (!known) return;
    if (mustCancel(run, known)) {
      board.apply((await ledger.requestCancel(run.metadata.uid, now())).tasks);
      known = (await ledger.readRun(run.metadata.uid)) ?? known;
    }
    known = await advance(known);
    const waiting = waitingOf(known);
    const again = lookAgainMs(known, waiting);
    if (again !== undefined) queue?.addAfter(key, again);
    writeStatus(run, runStatus({ ...known, observedGeneration: run.metadata.generation, waiting }));
  };

  /** A run whose object vanished is cancelled and goes on to its end in the ledger: there are no finalizers. */
  const reconcileOrphan = async (uid: string): Promise<void> => {
    const known = await ledger.readRun(uid);
    if (!known || known.run.state !== 'Running') return;
    if (mustCancel(undefined, known)) board.apply((await ledger.requestCancel(uid, now())).tasks);
    const cancelled = await ledger.readRun(uid);
    if (cancelled) await advance(cancelled);
  };

  let queue: WorkQueue | undefined;
  return {
    reconcile: (key: string): Promise<void> =>
      key.startsWith(orphanPrefix) ? reconcileOrphan(key.slice(orphanPrefix.length)) : reconcile(key),
    attach: (attached: WorkQueue): void => {
      queue = attached;
    },
  };
};

const orphanPrefix = 'orphan:';

/** Wires what makes a run worth another look: its own changes, its workflow's and targets', and every task of it. */
export const watchRuns = (options: RunsOptions, queue: WorkQueue): void => {
  const waitingFor = (namespace: string): void => {
    for (const run of options.runs.list(namespace))
      if (run.status?.startTime === undefined) queue.add(keyOf(run.metadata));
  };
  options.runs.onChange((key, run, before) => {
    // After a gap in the watch a run and another one of the same name are seen as one change, of equal generations.
    const same = run !== undefined && before?.metadata.uid === run.metadata.uid;
    if (before && !same) queue.add(`${orphanPrefix}${before.metadata.uid}`);
    if (run && !(same && run.metadata.generation === before.metadata.generation)) queue.add(keyOf(key));
  });
  options.workflows.onChange((key) => waitingFor(key.namespace));
  options.targets.onChange((key) => waitingFor(key.namespace));
  options.board.onTask((task) => {
    const run = options.runs.get(task.spec.namespace, task.spec.run);
    const alive = run?.metadata.uid === task.runUid;
    queue.add(alive ? keyOf(run.metadata) : `${orphanPrefix}${task.runUid}`);
  });
};

/** After a restart: what the ledger has open comes back to the board, and runs whose object is gone are cancelled. */
export const recoverRuns = async (options: RunsOptions, queue: WorkQueue): Promise<void> => {
  for (const { run, tasks } of await options.ledger.openRuns()) {
    options.board.apply(tasks);
    const alive = options.runs.get(run.namespace, run.name)?.metadata.uid === run.uid;
    queue.add(alive ? keyOf(run) : `${orphanPrefix}${run.uid}`);
  }
};
