import type { AttemptRef, OnLost, Report } from '@outrider/protocol';
import type { Plan } from '../ledger/records.ts';

export const leaseMs = 90_000;
export const offerMs = 10_000;
export const graceMs = 900_000;
export const killGraceMs = 30_000;
export const queueMs = 3_600_000;
export const startOfTime = 1_800_000_000_000;

/**
 * `Accepted` is journalled before it is asked; `Confirmed` once the operator said yes; `Releasing` is being given back, and
 * not started any more whatever becomes of that.
 */
export type JournalState = 'Accepted' | 'Confirmed' | 'Releasing' | 'Started' | 'Finished';

export interface Entry {
  readonly ref: AttemptRef;
  readonly state: JournalState;
  /** Of a finished one. */
  readonly outcome?: 'Succeeded' | 'Failed';
}

/** A runner as the protocol wants it: it journals before it accepts, and starts only what was confirmed. */
export interface ModelRunner {
  readonly clientId: string;
  session: string;
  /** The process before the last restart, which may still be there (a cloned machine). */
  former: string | undefined;
  process: number;
  dead: boolean;
  journal: Entry[];
  /** When the last renewal that was acknowledged was sent. */
  renewedAt: number;
  /** How often each held attempt was missing in a poll, as the operator counts. */
  unlisted: Record<string, number>;
}

/** A request that is on its way for longer than its sender waited. */
export type Message =
  | { readonly kind: 'Accept'; readonly runner: number; readonly session: string; readonly ref: AttemptRef }
  | { readonly kind: 'Report'; readonly runner: number; readonly session: string; readonly report: Report }
  | {
      readonly kind: 'Poll';
      readonly runner: number;
      readonly session: string;
      readonly held: readonly AttemptRef[];
    }
  | { readonly kind: 'Plan'; readonly plan: Plan };

/** A side effect that began on a target. */
export interface Execution {
  readonly ref: AttemptRef;
  readonly runner: number;
  alive: boolean;
  /** It began while a runner that was well still had an older attempt of the task at work. */
  readonly overlaps: boolean;
}

export interface Budget {
  /** Requests or answers that are lost or late. */
  faults: number;
  crashes: number;
  /** Jumps of time to the next deadline. */
  passes: number;
  cancels: number;
  decisions: number;
  polls: number;
}

/** All that is not in the ledger: processes, the network, targets. Plain data, so that it can be copied. */
export interface World {
  now: number;
  readonly runUid: string;
  readonly tasks: readonly string[];
  readonly onLost: OnLost;
  runners: ModelRunner[];
  net: Message[];
  executions: Execution[];
  /** Results answered as recorded, by attempt. */
  results: Record<string, string>;
  /** Which process was told that an attempt is its own. */
  claims: Record<string, string>;
  budget: Budget;
  sessions: number;
}

export interface Setup {
  readonly onLost: OnLost;
  readonly tasks: number;
  readonly runners: number;
  readonly budget: Budget;
  /** Tasks share a target that one may act on at a time. */
  readonly locked: boolean;
}

export const refOf = ({ task, epoch }: AttemptRef): AttemptRef => ({ task, epoch });
