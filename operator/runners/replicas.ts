import type { LiveRunner } from '../dispatch/contract.ts';
import type { Times } from '../dispatch/times.ts';

/** What is concluded from silence. */
export type SilenceTimes = Pick<Times, 'onlineMs' | 'offlineMs'>;

/** A replica that has been gone for so long is taken as removed, not as missing. */
const removedAfterMs = 24 * 3_600_000;

/** One key of a runner: `Late` lies between Online and Offline, `Closed` said good-bye. */
export type ReplicaState = 'Online' | 'Late' | 'Gone' | 'Closed';

export interface Replica {
  readonly live: LiveRunner;
  readonly state: ReplicaState;
  /** Time from which its state may differ, in milliseconds since the Unix epoch; Infinity for never. */
  readonly until: number;
}

/**
 * Where each replica stands:
 *
 *   Online ──onlineMs without contact──▶ Late ──offlineMs──▶ Gone        any ──good-bye──▶ Closed
 *      ▲────────────────contact──────────┴───────────────────┴──────────────────────────────┘
 */
export const replicaOf = (live: LiveRunner, now: number, times: SilenceTimes): Replica => {
  if (live.closed) return { live, state: 'Closed', until: Infinity };
  const lateAt = live.lastContact + times.onlineMs;
  const goneAt = live.lastContact + times.offlineMs;
  // An open poll is contact; that it closes is not announced, so it is looked at again when a silence could count.
  if (live.connected) return { live, state: 'Online', until: Math.max(lateAt, now + times.onlineMs / 3) };
  if (now <= lateAt) return { live, state: 'Online', until: lateAt };
  if (now <= goneAt) return { live, state: 'Late', until: goneAt };
  return { live, state: 'Gone', until: live.lastContact + removedAfterMs };
};

/** Replicas that should be there: silent for a while, but neither stopped gracefully nor long removed. */
export const missingReplicas = (replicas: readonly Replica[], now: number): readonly Replica[] =>
  replicas.filter(
    ({ live, state }) => (state === 'Late' || state === 'Gone') && now - live.lastContact < removedAfterMs,
  );
