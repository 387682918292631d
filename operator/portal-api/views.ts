import type { Runner, WorkflowRun } from '@outrider/kinds';
import type { RunDetails, RunnerView, RunView, TaskView } from '@outrider/portal';
import type { LiveRunner } from '../dispatch/contract.ts';
import type { RunAndTasks, TaskRecord } from '../ledger/records.ts';
import type { LogState } from '../logs/contract.ts';
import { runStatus } from '../runs/status.ts';

const instant = (at: number): string => new Date(at).toISOString();

/** Drops properties that are undefined or null, so that an answer has what is known and nothing else. */
const known = <T extends object>(value: T): { [K in keyof T]: NonNullable<T[K]> } =>
  Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined && v !== null)) as {
    [K in keyof T]: NonNullable<T[K]>;
  };

const outcomeOf = (task: TaskRecord) =>
  known({
    exitCode: task.result?.exitCode,
    signal: task.result?.signal,
    unconfirmed: task.result?.unconfirmed,
    reason: task.reason ?? task.result?.reason,
    message: task.message ?? task.result?.message,
  });

export const taskView = (task: TaskRecord, log: LogState): TaskView =>
  known({
    id: task.id,
    step: task.spec.step,
    target: task.target,
    node: task.spec.node,
    state: task.state,
    epoch: task.epoch,
    runner: task.runnerName ?? undefined,
    ...outcomeOf(task),
    readyAt: task.readyAt === null ? undefined : instant(task.readyAt),
    startedAt: task.result?.startedAt ?? (task.startedAt === null ? undefined : instant(task.startedAt)),
    finishedAt: task.finishedAt === null ? undefined : instant(task.finishedAt),
    log: { lines: log.lines, bytes: log.offset, end: log.end },
  }) as TaskView;

/** A run as its object and the ledger together show it; what the ledger says counts. */
export const runView = (run: WorkflowRun, ledger: RunAndTasks | undefined): RunView => {
  const status = ledger
    ? runStatus({ ...ledger, observedGeneration: 0, waiting: new Map() })
    : {
        phase: run.status?.phase,
        startTime: run.status?.startTime,
        completionTime: run.status?.completionTime,
        conditions: run.status?.conditions,
      };
  // Why a run waits for a runner stands in its object alone: the ledger knows states, not reasons to wait.
  const waits = run.status?.conditions?.find((condition) => condition.type === 'Completed');
  const condition =
    status.phase === 'Queued' ? waits : status.conditions?.find(({ type }) => type === 'Completed');
  return known({
    namespace: run.metadata.namespace,
    name: run.metadata.name,
    uid: run.metadata.uid,
    workflow: run.spec.workflowRef.name,
    phase: status.phase ?? 'Queued',
    reason: condition?.reason || undefined,
    message: condition?.message || undefined,
    requestedBy: run.spec.requestedBy,
    createdAt: run.metadata.creationTimestamp,
    startedAt: status.startTime,
    finishedAt: status.completionTime,
  }) as RunView;
};

export const runDetails = (
  run: WorkflowRun,
  ledger: RunAndTasks | undefined,
  tasks: readonly TaskView[],
): RunDetails => ({
  ...runView(run, ledger),
  tasks: [...tasks],
});

export const runnerView = (runner: Runner, live: readonly LiveRunner[]): RunnerView => {
  const online = runner.status?.conditions?.find((condition) => condition.type === 'Online');
  const last = live.length === 0 ? undefined : Math.max(...live.map((session) => session.lastContact));
  const lead = [...live].sort((a, b) => b.lastContact - a.lastContact)[0];
  const sum = (of: (session: LiveRunner) => number): number =>
    live.reduce((total, session) => total + of(session), 0);
  return known({
    namespace: runner.metadata.namespace,
    name: runner.metadata.name,
    phase: runner.status?.phase ?? 'Offline',
    reason: online?.reason,
    message: online?.message || undefined,
    lastHeartbeat: last === undefined ? runner.status?.lastHeartbeatTime : instant(last),
    load: sum((session) => session.load),
    capacity: sum((session) => session.capacity),
    version: lead?.version ?? runner.status?.version,
    startedAt: lead?.startedAt ?? runner.status?.startTime,
    tags: [...(lead?.tags ?? runner.status?.tags ?? runner.spec.tags ?? [])],
    replicas: live.length,
  }) as RunnerView;
};
