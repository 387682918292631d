import { decisions, type Runner, type WorkflowRun } from '@outrider/kinds';
import type { DecisionView, RunDetails, RunnerView, RunView, TaskView } from '@outrider/portal';
import type { LiveRunner } from '../dispatch/contract.ts';
import type { AuditRecord, RunAndTasks, TaskRecord } from '../ledger/records.ts';
import type { LogState } from '../logs/contract.ts';
import { runStatus, type RunStatusDraft } from '../runs/status.ts';

const instant = (at: number): string => new Date(at).toISOString();

/** Drops properties that are undefined, null or empty text, so that an answer has what is known and nothing else. */
const known = <T extends object>(value: T): { [K in keyof T]: NonNullable<T[K]> } =>
  Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined && v !== null && v !== '')) as {
    [K in keyof T]: NonNullable<T[K]>;
  };

const outcomeOf = ({ result, reason, message }: TaskRecord) => ({
  exitCode: result?.exitCode,
  signal: result?.signal,
  reason: reason ?? result?.reason,
  message: message ?? result?.message,
});

/** Attempts of which it could not be checked that nothing is left; undefined when there is none. */
const unconfirmedOf = (tasks: readonly TaskRecord[]): number | undefined =>
  tasks.reduce((sum, { unconfirmed }) => sum + unconfirmed, 0) || undefined;

const timesOf = ({ readyAt, startedAt, finishedAt, result }: TaskRecord) => ({
  readyAt: readyAt === null ? undefined : instant(readyAt),
  startedAt: result?.startedAt ?? (startedAt === null ? undefined : instant(startedAt)),
  finishedAt: finishedAt === null ? undefined : instant(finishedAt),
});

export const taskView = (task: TaskRecord, log: LogState): TaskView => ({
  ...(known({
    id: task.id,
    step: task.spec.step,
    node: task.spec.node,
    probeOf: task.probeOf,
    state: task.state,
    epoch: task.epoch,
    runner: task.runnerName,
    unconfirmed: unconfirmedOf([task]),
    ...outcomeOf(task),
    ...timesOf(task),
    log: { lines: log.lines, bytes: log.offset, end: log.end },
  }) as TaskView),
  target: task.target,
});

const statusOf = (run: WorkflowRun, ledger: RunAndTasks | undefined): Partial<RunStatusDraft> =>
  ledger ? runStatus(ledger) : (run.status ?? {});

const completed = (conditions: RunStatusDraft['conditions'] | undefined) =>
  conditions?.find((condition) => condition.type === 'Completed');

/** A run as its object and the ledger together show it; what the ledger says counts. */
export const runView = (run: WorkflowRun, ledger: RunAndTasks | undefined): RunView => {
  const status = statusOf(run, ledger);
  const phase = status.phase ?? 'Queued';
  // Why a run waits for a runner stands in its object alone: the ledger knows states, not reasons to wait.
  const condition = completed(phase === 'Queued' ? run.status?.conditions : status.conditions);
  return known({
    namespace: run.metadata.namespace,
    name: run.metadata.name,
    uid: run.metadata.uid,
    workflow: run.spec.workflowRef.name,
    phase,
    reason: condition?.reason,
    message: condition?.message,
    priority: ledger?.run.priority || undefined,
    unconfirmed: unconfirmedOf(ledger?.tasks ?? []),
    requestedBy: run.spec.requestedBy,
    createdAt: run.metadata.creationTimestamp,
    startedAt: status.startTime,
    finishedAt: status.completionTime,
  }) as RunView;
};

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** Undefined for what the audit trail has of a run besides decisions. */
export const decisionView = ({ at, actor, action, details }: AuditRecord): DecisionView | undefined => {
  const decision = decisions.find((each) => each === details['decision']);
  if (action !== 'Decide' || decision === undefined) return undefined;
  return {
    at: instant(at),
    by: actor,
    step: text(details['step']),
    target: text(details['target']),
    attempt: Number(details['epoch']),
    decision,
    reason: text(details['reason']),
    applied: details['applied'] === true,
  };
};

export interface RunParts {
  readonly ledger: RunAndTasks | undefined;
  readonly tasks: readonly TaskView[];
  readonly history: readonly DecisionView[];
}

export const runDetails = (run: WorkflowRun, { ledger, tasks, history }: RunParts): RunDetails => ({
  ...runView(run, ledger),
  tasks: [...tasks],
  ...(history.length === 0 ? {} : { history: [...history] }),
});

const newest = (live: readonly LiveRunner[]): LiveRunner | undefined =>
  [...live].sort((a, b) => b.lastContact - a.lastContact)[0];

/** What its live sessions say, which is exact to the second. */
const liveFigures = (live: readonly LiveRunner[]): Partial<RunnerView> => {
  const lead = newest(live);
  return known({
    lastHeartbeat: lead ? instant(lead.lastContact) : undefined,
    load: live.reduce((sum, session) => sum + session.load, 0),
    capacity: live.reduce((sum, session) => sum + session.capacity, 0),
    version: lead?.version,
    startedAt: lead?.startedAt,
    tags: lead ? [...lead.tags] : undefined,
    replicas: live.length,
  });
};

export const runnerView = (runner: Runner, live: readonly LiveRunner[]): RunnerView => {
  const { metadata, spec, status = {} } = runner;
  const online = status.conditions?.find((condition) => condition.type === 'Online');
  return known({
    namespace: metadata.namespace,
    name: metadata.name,
    phase: status.phase ?? 'Offline',
    reason: online?.reason,
    message: online?.message,
    lastHeartbeat: status.lastHeartbeatTime,
    version: status.version,
    startedAt: status.startTime,
    tags: status.tags ?? spec.tags ?? [],
    ...liveFigures(live),
  }) as RunnerView;
};
