import type { Settings } from '@outrider/protocol';

/** Every time that runners are held to and everything that is concluded from their silence, in milliseconds. */
export interface Times {
  /** Polls are held this long, each up to 10 % more or less, so that runners that started together spread out. */
  readonly pollMs: number;
  /** What a runner holds is its own for so long after it last listed it. */
  readonly leaseMs: number;
  /** From the end of a lease to the retry of work under onLost Retry: until then its runner has ended it. */
  readonly killGraceMs: number;
  /** An offer that nobody accepts within this time goes back to the queue; its epoch is spent. */
  readonly offerMs: number;
  /** How long an attempt stays Unknown before its onLost policy acts. */
  readonly unknownGraceMs: number;
  /** Without contact and without an open poll for so long a runner is no longer Online. */
  readonly onlineMs: number;
  /** Without contact for longer than this it is Offline. */
  readonly offlineMs: number;
  /** After its start or a standstill the operator waits so long for runners to come back before it acts on deadlines. */
  readonly settleMs: number;
}

/** Runners that wait for the operator try again within 10 s, or 25 s when packets are dropped: hence settleMs. */
export const defaultTimes: Times = {
  pollMs: 20_000,
  leaseMs: 90_000,
  killGraceMs: 30_000,
  offerMs: 10_000,
  unknownGraceMs: 15 * 60_000,
  onlineMs: 45_000,
  offlineMs: 120_000,
  settleMs: 30_000,
};

/** What runners are told of them. */
export const settingsOf = ({ pollMs, leaseMs, killGraceMs }: Times): Settings => ({
  pollMs,
  leaseMs,
  killGraceMs,
});
