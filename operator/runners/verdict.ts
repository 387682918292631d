import type { RunnerPhase } from '@outrider/kinds';
import type { Verdict } from '../kube/conditions.ts';
import { kubeTime } from '../kube/instants.ts';
import { missingReplicas, type Replica, type SilenceTimes } from './replicas.ts';

/** What is said of whether a runner can be reached: the phase and the condition Online. */
export interface OnlineVerdict {
  readonly phase: RunnerPhase;
  readonly online: Verdict;
}

export interface OnlineFacts {
  readonly replicas: readonly Replica[];
  /** Keys that joined as this runner and were not revoked, whether they are connected or not. */
  readonly registered: number;
  readonly revoked: boolean;
  readonly suspended: boolean;
  /** Where it tells how to join. */
  readonly name: string;
  readonly namespace: string;
  readonly now: number;
  readonly times: SilenceTimes;
  /** The operator has run for long enough that silence means something. */
  readonly settled: boolean;
}

const verdict = (
  phase: RunnerPhase,
  status: Verdict['status'],
  reason: string,
  message: string,
): OnlineVerdict => ({
  phase,
  online: { type: 'Online', status, reason, message },
});

/** Undefined: nothing can be said yet, and what was said before stands. */
export const judgeOnline = (facts: OnlineFacts): OnlineVerdict | undefined => {
  if (facts.revoked)
    return verdict(
      'Offline',
      'False',
      'Revoked',
      'Its keys are refused. Join the machine again under another name.',
    );
  const online = facts.replicas.filter(({ state }) => state === 'Online');
  if (online.length > 0) return judgeConnected(facts, online);
  return judgeSilent(facts);
};

const judgeConnected = (facts: OnlineFacts, online: readonly Replica[]): OnlineVerdict => {
  const missing = missingReplicas(facts.replicas, facts.now);
  const [complaint] = online.flatMap(({ live }) => live.degraded);
  if (complaint !== undefined)
    return verdict('Degraded', 'True', complaintReason(complaint), sentence(complaint));
  if (missing.length > 0) {
    const all = online.length + missing.length;
    const since = kubeTime(Math.max(...missing.map(({ live }) => live.lastContact)));
    return verdict(
      'Degraded',
      'True',
      'ReplicaMissing',
      `${online.length} of ${all} replicas are connected; nothing has been heard of the others since ${since}.`,
    );
  }
  const replicas = online.length === 1 ? 'It polls for work' : `${online.length} replicas poll for work`;
  const note = facts.suspended
    ? `${replicas}, and is given none while spec.suspend is true.`
    : `${replicas}.`;
  return verdict('Online', 'True', 'HeartbeatReceived', note);
};

const judgeSilent = (facts: OnlineFacts): OnlineVerdict | undefined => {
  const { replicas, registered, settled, name, namespace, times } = facts;
  const since = kubeTime(Math.max(0, ...replicas.map(({ live }) => live.lastContact)));
  if (replicas.some(({ state }) => state === 'Late'))
    return verdict(
      'Degraded',
      'Unknown',
      'HeartbeatMissing',
      `Nothing has been heard of it since ${since}, for more than ${times.onlineMs / 1000} s.`,
    );
  if (replicas.length > 0 && replicas.every(({ state }) => state === 'Closed'))
    return verdict('Offline', 'False', 'Drained', `It stopped gracefully; its last contact was at ${since}.`);
  if (registered === 0 && replicas.length === 0)
    return verdict(
      'Offline',
      'False',
      'NeverConnected',
      `No machine has joined as this runner. Make a token with "outrider runner token --namespace ${namespace}" and start a runner named ${name} with it.`,
    );
  if (!settled) return undefined;
  const silent =
    replicas.length > 0
      ? `since ${since}, for more than ${times.offlineMs / 1000} s`
      : `since the operator started, more than ${times.offlineMs / 1000} s ago`;
  return verdict(
    'Offline',
    'False',
    'HeartbeatMissing',
    `Nothing has been heard of it ${silent}. Check that its process runs and that it reaches the operator.`,
  );
};

/** The runner's words, by what they are about. */
const complaintReason = (complaint: string): string => {
  if (/\bsessions\b/i.test(complaint)) return 'SessionQuarantined';
  if (/\bclock\b/i.test(complaint)) return 'ClockSkew';
  if (/\bjournal\b/i.test(complaint)) return 'JournalNearlyFull';
  return 'SelfCheckFailed';
};

const sentence = (text: string): string => {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!]$/.test(whole) ? whole : `${whole}.`;
};
