import type { Target, Workflow, WorkflowRun } from '@outrider/kinds';
import type { Board } from '../dispatch/board.ts';
import type { Explain, Waiting } from '../dispatch/explain.ts';
import type { Cache, EventRecorder, StatusWriter, WorkQueue } from '../kube/contract.ts';
import { conditionsFrom } from '../kube/conditions.ts';
import { workflowRuns } from '../kube/resources.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { planView } from '../planner/plan.ts';
import type { RunView, StepView } from '../planner/run-view.ts';
import { alreadyRan, decideStart, heldBack, mustCancel, wantedPause } from './decide.ts';
import { createRunViews } from './run-views.ts';
import { viewStatus, type RunStatusDraft } from './status.ts';

export interface RunsOptions {
  readonly runs: Cache<WorkflowRun>;
  readonly workflows: Cache<Workflow>;
  readonly targets: Cache<Target>;
  readonly ledger: Ledger;
  readonly board: Board;
  readonly explain: Explain;
  /** The ledger was restored: nothing is started or planned until a person has confirmed. */
  readonly recovering: () => boolean;
  /** Of this replica as the leader; absent where there is one operator only. */
  readonly term?: () => number;
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

/** Ready tasks of a step that are asked for why they wait: alike ones wait for the same. */
const explainedTasks = 20;

const lookAgainMs = (view: RunView, waiting: ReadonlyMap<number, Waiting>): number | undefined => {
  if ([...waiting.values()].some(({ reason }) => reason !== 'RunnersBusy')) return explainEveryMs;
  return view.steps.some((step) => step.count('Ready') > 0) ? recheckBusyMs : undefined;
};

/** Reconciles one run: freeze it, or advance it by its plan; then its status follows from the ledger alone. */
export const createRunReconciler = (options: RunsOptions) => {
  const { ledger, board, now } = options;
  const views = createRunViews(ledger);

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

  const start = async (run: WorkflowRun): Promise<RunView | undefined> => {
    const { namespace, uid } = run.metadata;
    const workflow = options.workflows.get(namespace, run.spec.workflowRef.name);
    const decision = decideStart({ run, workflow, targets: options.targets.list(namespace), now: now() });
    if (decision.action === 'Wait') {
      writeStatus(run, decision.status);
      queue?.addAfter(keyOf(run.metadata), Math.min(decision.at - now(), 2 ** 31 - 1));
    }
    if (decision.action === 'End') writeStatus(run, decision.status);
    if (decision.action !== 'Start') return undefined;
    if (options.recovering()) {
      writeStatus(run, heldBack(run, now()));
      queue?.addAfter(keyOf(run.metadata), explainEveryMs);
      return undefined;
    }
    const { outcome } = await ledger.createRun({ run: decision.run, tasks: decision.tasks, ...byLeader() });
    if (outcome !== 'AlreadyRan') return views.read(uid);
    writeStatus(run, alreadyRan(run, now()));
    return undefined;
  };

  const term = (): number | undefined => options.term?.();
  const byLeader = (): { term?: number } => (options.term ? { term: options.term() } : {});

  /** Plans until there is nothing to plan; a plan that came too late is made anew from what has changed. */
  const advance = async (known: RunView, orphaned: boolean): Promise<RunView> => {
    let view = known;
    for (;;) {
      const plan = planView(view, {
        now: now(),
        queueTimeoutMs: options.queueTimeoutMs,
        recovering: options.recovering(),
        orphaned,
      });
      if (!plan) return view;
      const { applied, run, tasks } = await ledger.applyPlan(plan, now(), term());
      if (applied) {
        view.apply({ run, tasks });
        board.apply(tasks);
      } else view = (await views.read(run.uid)) ?? view;
    }
  };

  const explainStep = (step: StepView): Waiting | undefined => {
    let first: Waiting | undefined;
    let asked = 0;
    for (const { id } of step.in('Ready')) {
      const task = board.get(id);
      if (!task) continue;
      const why = options.explain(task);
      if (why.reason === 'NoRunner') return why;
      first ??= why;
      if (++asked === explainedTasks) break;
    }
    return first;
  };

  const waitingOf = (view: RunView): Map<number, Waiting> => {
    const waiting = new Map<number, Waiting>();
    for (const [index, step] of view.steps.entries()) {
      const why = step.count('Ready') > 0 ? explainStep(step) : undefined;
      if (why) waiting.set(index, why);
    }
    return waiting;
  };

  /** Gives the ledger what the object asks for and it does not have yet. */
  const takeOver = async (run: WorkflowRun | undefined, view: RunView): Promise<RunView> => {
    const { uid } = view.run;
    const paused = run && wantedPause(run, view);
    if (mustCancel(run, view)) board.apply((await ledger.requestCancel(uid, now(), term())).tasks);
    else if (paused === undefined) return view;
    else board.apply((await ledger.setPaused({ runUid: uid, paused, now: now(), ...byLeader() })).tasks);
    return (await views.read(uid)) ?? view;
  };

  const reconcile = async (key: string): Promise<void> => {
    const [namespace = '', name = ''] = key.split('/');
    const run = options.runs.get(namespace, name);
    if (!run) return;
    const known = (await views.read(run.metadata.uid)) ?? (await start(run));
    if (!known) return;
    const view = await advance(await takeOver(run, known), false);
    const waiting = waitingOf(view);
    const again = lookAgainMs(view, waiting);
    if (again !== undefined) queue?.addAfter(key, again);
    writeStatus(run, viewStatus({ view, observedGeneration: run.metadata.generation, waiting }));
    views.release(view);
  };

  /** A run whose object vanished is cancelled and goes on to its end in the ledger: there are no finalizers. */
  const reconcileOrphan = async (uid: string): Promise<void> => {
    const known = await views.read(uid);
    if (!known) return;
    const isOver = known.run.state !== 'Running';
    views.release(isOver ? known : await advance(await takeOver(undefined, known), true));
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
export const recoverRuns = async (
  options: Pick<RunsOptions, 'ledger' | 'runs'> & { readonly board: Pick<Board, 'apply'> },
  queue: WorkQueue,
): Promise<void> => {
  for (const { run, tasks } of await options.ledger.openRuns()) {
    options.board.apply(tasks);
    const alive = options.runs.get(run.namespace, run.name)?.metadata.uid === run.uid;
    queue.add(alive ? keyOf(run) : `${orphanPrefix}${run.uid}`);
  }
};
