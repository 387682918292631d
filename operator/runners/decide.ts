import { isDeepStrictEqual } from 'node:util';
import type { Runner, RunnerStatus } from '@outrider/kinds';
import type { LiveRunner } from '../dispatch/contract.ts';
import { conditionsFrom, findCondition, type Verdict } from '../kube/conditions.ts';
import type { EventRecorder } from '../kube/contract.ts';
import { kubeTime } from '../kube/instants.ts';
import { replicaOf, type Replica, type SilenceTimes } from './replicas.ts';
import { judgeOnline, type OnlineVerdict } from './verdict.ts';

export interface RunnerFacts {
  readonly runner: Runner;
  readonly live: readonly LiveRunner[];
  /** Keys that joined as this runner and were not revoked. */
  readonly registered: number;
  /** Milliseconds since the Unix epoch, as are all times here. */
  readonly now: number;
  readonly operatorStartedAt: number;
  readonly times: SilenceTimes;
}

export interface RunnerDecision {
  /** Undefined: what is there is good enough. */
  readonly status: RunnerStatus | undefined;
  /** The phase changed. */
  readonly urgent: boolean;
  readonly event: Parameters<EventRecorder['record']>[1] | undefined;
  /** When to look again without being told, in milliseconds from now. */
  readonly recheckMs: number;
}

/** Load and wording are written at most this often: a short step must not cost writes to etcd at its start and end. */
export const minorEveryMs = 30_000;
/** The time of the last contact alone is written this often. */
export const heartbeatEveryMs = 300_000;

/** What the status should be, whether that is worth a write, and when it may change by mere time. */
export const decideRunner = (facts: RunnerFacts): RunnerDecision => {
  const { runner, now, operatorStartedAt, times } = facts;
  const replicas = facts.live.map((live) => replicaOf(live, now, times));
  const settledAt = operatorStartedAt + times.offlineMs;
  const verdict = judgeOnline({
    replicas,
    registered: facts.registered,
    revoked: runner.spec.revoked ?? false,
    suspended: runner.spec.suspend ?? false,
    name: runner.metadata.name,
    namespace: runner.metadata.namespace,
    now,
    times,
    settled: now > settledAt,
  });
  const status = statusOf(facts, replicas, verdict);
  const pace = paceOf(runner.status, status, now);
  const changes = [...replicas.map(({ until }) => until), now > settledAt ? Infinity : settledAt].filter(
    Number.isFinite,
  );
  const recheckAt = Math.min(...changes.map((at) => at + 1), pace.nextAt, now + heartbeatEveryMs);
  const phaseChanged = status.phase !== runner.status?.phase;
  return {
    status: pace.write ? status : undefined,
    urgent: phaseChanged,
    event: phaseChanged && verdict !== undefined ? eventOf(runner.status?.phase, verdict) : undefined,
    recheckMs: Math.max(1, recheckAt - now),
  };
};

const ready: Verdict = {
  type: 'Ready',
  status: 'True',
  reason: 'Accepted',
  message: 'The spec is accepted.',
};

const waiting = ({ offlineMs }: SilenceTimes): Verdict => ({
  type: 'Online',
  status: 'Unknown',
  reason: 'OperatorStarting',
  message: `The operator started less than ${offlineMs / 1000} s ago and has not heard of it yet.`,
});

/** Tags that a status may list. */
const mostTags = 32;

const statusOf = (
  { runner, now, times }: RunnerFacts,
  replicas: readonly Replica[],
  verdict: OnlineVerdict | undefined,
): RunnerStatus => {
  const { generation } = runner.metadata;
  const before = runner.status;
  const { online, phase } = verdict ?? standing(before, times);
  return {
    observedGeneration: generation,
    conditions: conditionsFrom([ready, online], before?.conditions, { now, generation }),
    ...(phase === undefined ? {} : { phase }),
    ...heartbeatOf(replicas, before),
    ...(phase === 'Offline' ? keptOffline(before) : liveFacts(replicas, before)),
  };
};

/** What was said before, while nothing can be said yet. */
const standing = (
  before: RunnerStatus | undefined,
  times: SilenceTimes,
): { online: Verdict; phase: RunnerStatus['phase'] } => ({
  online: findCondition(before?.conditions, 'Online') ?? waiting(times),
  phase: before?.phase,
});

const heartbeatOf = (replicas: readonly Replica[], before: RunnerStatus | undefined): RunnerStatus => {
  const latest = Math.max(-Infinity, ...replicas.map(({ live }) => live.lastContact));
  const known = before?.lastHeartbeatTime;
  if (!Number.isFinite(latest)) return known === undefined ? {} : { lastHeartbeatTime: known };
  return { lastHeartbeatTime: kubeTime(latest) };
};

/** What still means something of a runner that is not there. */
const keptOffline = (before: RunnerStatus | undefined): RunnerStatus => ({
  ...(before?.version === undefined ? {} : { version: before.version }),
  ...(before?.tags === undefined ? {} : { tags: before.tags }),
});

/** Sums over the replicas that are there; version and start of the one that started last. */
const liveFacts = (replicas: readonly Replica[], before: RunnerStatus | undefined): RunnerStatus => {
  const live = replicas
    .filter(({ state }) => state === 'Online' || state === 'Late')
    .map((replica) => replica.live);
  const newest = live.toSorted((a, b) => Date.parse(b.startedAt) - Date.parse(a.startedAt))[0];
  // The operator has just started: what it does not know yet stays.
  if (newest === undefined) {
    const { load, capacity, startTime } = before ?? {};
    const kept = { load, capacity, startTime };
    return {
      ...keptOffline(before),
      ...Object.fromEntries(Object.entries(kept).filter(([, value]) => value !== undefined)),
    };
  }
  const tags = [...new Set(live.flatMap((each) => each.tags))].sort().slice(0, mostTags);
  return {
    load: live.reduce((sum, each) => sum + each.load, 0),
    capacity: live.reduce((sum, each) => sum + each.capacity, 0),
    version: newest.version.slice(0, 64),
    startTime: newest.startedAt,
    tags,
  };
};

/** What is written at once when it changes: all but load, wording and the time of the last contact. */
const majorOf = ({ conditions, load: _load, lastHeartbeatTime: _time, ...rest }: RunnerStatus): unknown => ({
  ...rest,
  conditions: conditions?.map(({ type, status, reason }) => [type, status, reason]),
});

const withoutHeartbeat = ({ lastHeartbeatTime: _time, ...rest }: RunnerStatus): unknown => rest;

/** Whether it is worth a write now, and if not, from when on. */
const paceOf = (
  before: RunnerStatus | undefined,
  after: RunnerStatus,
  now: number,
): { write: boolean; nextAt: number } => {
  if (before === undefined || !isDeepStrictEqual(majorOf(before), majorOf(after)))
    return { write: true, nextAt: Infinity };
  if (isDeepStrictEqual(before, after)) return { write: false, nextAt: Infinity };
  const minor = !isDeepStrictEqual(withoutHeartbeat(before), withoutHeartbeat(after));
  const writtenAt = before.lastHeartbeatTime === undefined ? -Infinity : Date.parse(before.lastHeartbeatTime);
  const dueAt = writtenAt + (minor ? minorEveryMs : heartbeatEveryMs);
  return { write: now >= dueAt, nextAt: now >= dueAt ? Infinity : dueAt };
};

/** One for each change of phase; none for a runner that nobody has seen yet, or that stops on purpose as a warning. */
const eventOf = (before: string | undefined, { phase, online }: OnlineVerdict): RunnerDecision['event'] => {
  if (before === undefined && phase === 'Offline') return undefined;
  const expected = phase === 'Online' || online.reason === 'Drained';
  return {
    type: expected ? 'Normal' : 'Warning',
    reason: phase,
    action: 'ObserveRunner',
    note: `${online.reason}: ${online.message}`,
  };
};
