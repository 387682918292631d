import type { Runner, WorkflowRun } from '@outrider/kinds';
import type { DecisionView, RunDetails, TaskView } from '@outrider/portal';
import type { AttemptRef } from '@outrider/protocol';
import type { Board } from '../dispatch/board.ts';
import type { RunnerDirectory } from '../dispatch/contract.ts';
import type { Cache } from '../kube/contract.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { RunAndTasks, TaskRecord } from '../ledger/records.ts';
import type { LogState, LogStore } from '../logs/contract.ts';
import { notFound, stepNotFound } from './errors.ts';
import { decisionView, runDetails, taskView } from './views.ts';

/** What the portal reads from; it writes nowhere but registration tokens. */
export interface Sources {
  readonly runs: Cache<WorkflowRun>;
  readonly runners: Cache<Runner>;
  readonly directory: RunnerDirectory;
  readonly ledger: Ledger;
  readonly logs: LogStore;
  readonly board: Board;
}

const noLog: LogState = { offset: 0, lines: 0, end: 'Open' };

export const viewTask = async (logs: Pick<LogStore, 'state'>, task: TaskRecord): Promise<TaskView> =>
  taskView(task, task.epoch === 0 ? noLog : await logs.state({ task: task.id, epoch: task.epoch }));

/** @throws OutriderError NotFound */
export const findRun = (sources: Sources, namespace: string, name: string): WorkflowRun => {
  const run = sources.runs.get(namespace, name);
  if (!run) throw notFound('WorkflowRun', namespace, name);
  return run;
};

/** Attempts whose end could not be checked and that still keep their place on a Target, by task. */
const heldPlaces = async ({ ledger }: Sources): Promise<ReadonlyMap<string, number>> =>
  new Map((await ledger.listLocks({})).map(({ task, epoch }) => [task, epoch]));

/** One run with all of its tasks, and what people decided about them. */
export const readDetails = async (sources: Sources, run: WorkflowRun): Promise<RunDetails> => {
  const known = await sources.ledger.readRun(run.metadata.uid);
  const held = await heldPlaces(sources);
  const tasks = await Promise.all(
    inOrder(known?.tasks ?? []).map(async (task) => {
      const holdsTarget = held.get(task.id);
      const view = await viewTask(sources.logs, task);
      return holdsTarget === undefined ? view : { ...view, holdsTarget };
    }),
  );
  return runDetails(run, { ledger: known, tasks, history: await historyOf(sources.ledger, run) });
};

/** A page of runs, newest first. The ledger is asked once for each run that it may know. */
export const listRuns = async (
  sources: Sources,
  query: { namespace: string; workflow?: string; limit: number },
): Promise<readonly { run: WorkflowRun; ledger: RunAndTasks | undefined }[]> => {
  const newest = sources.runs
    .list(query.namespace)
    .filter((run) => query.workflow === undefined || run.spec.workflowRef.name === query.workflow)
    .sort(
      (a, b) =>
        b.metadata.creationTimestamp.localeCompare(a.metadata.creationTimestamp) ||
        b.metadata.name.localeCompare(a.metadata.name),
    )
    .slice(0, query.limit);
  return Promise.all(
    newest.map(async (run) => ({ run, ledger: await sources.ledger.readRun(run.metadata.uid) })),
  );
};

/** A run is decided on a few times at most; what a script does a thousand times is not all shown. */
const longestHistory = 1000;

/** Decisions of people about a run, oldest first. */
const historyOf = async (
  ledger: Pick<Ledger, 'listAudit'>,
  run: WorkflowRun,
): Promise<readonly DecisionView[]> => {
  const newestFirst = await ledger.listAudit({ limit: longestHistory, object: `Run/${run.metadata.uid}` });
  return newestFirst.flatMap((record) => decisionView(record) ?? []).reverse();
};

const isProbe = ({ probeOf }: TaskRecord): number => (probeOf === null ? 0 : 1);

/** Tasks in the order in which a person reads them: by step, then by target, probes of lost attempts last. */
export const inOrder = (tasks: readonly TaskRecord[]): TaskRecord[] =>
  [...tasks].sort(
    (a, b) => a.stepIndex - b.stepIndex || a.target.localeCompare(b.target) || isProbe(a) - isProbe(b),
  );

/** A step that failed and was lost as often as it may has eleven; an offer that nobody took has a number, too. */
const mostAttempts = 20;

/** Attempts of a task whose logs are read, oldest first: the one that is asked for, else the last ones. */
export const attemptsOf = ({ id, epoch }: TaskRecord, asked?: number): readonly AttemptRef[] => {
  if (asked !== undefined) return asked > 0 && asked <= epoch ? [{ task: id, epoch: asked }] : [];
  const first = Math.max(1, epoch - mostAttempts + 1);
  return Array.from({ length: epoch - first + 1 }, (_, index) => ({ task: id, epoch: first + index }));
};

/** @throws OutriderError NotFound when the step is not one of the run's. */
export const tasksOf = (
  known: RunAndTasks | undefined,
  run: WorkflowRun,
  step: string | undefined,
): TaskRecord[] => {
  const tasks = inOrder(known?.tasks ?? []);
  if (step === undefined) return tasks;
  const chosen = tasks.filter((task) => task.spec.step === step);
  if (chosen.length === 0)
    throw stepNotFound(
      run.metadata,
      step,
      tasks.map((task) => task.spec.step),
    );
  return chosen;
};
