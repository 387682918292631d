import type { TaskState } from '../records.ts';

/** From a state to those that follow it. */
type Moves = Partial<Record<TaskState, readonly TaskState[]>>;

const outcomes = ['Succeeded', 'Failed', 'TimedOut', 'Cancelled'] as const;
const held = ['Claimed', 'Running'] as const;
/** A result is the truth about an epoch for as long as nobody has acted on its absence: no other attempt, no final verdict. */
const toldOutcome = [...outcomes, 'Ready'] as const;
/** The runner is sure of the end alone, and `onLost` asks how far it got. */
const unclearOutcome = ['Verifying', 'AwaitingHuman'] as const;

/**
 * Every transition of a task, by what causes it. Commands check who may cause it (runner, session, epoch, deadline, revision);
 * that it is one of these is checked here alone, by every write of a state.
 */
const moves = {
  /** The planner: a step's turn, a failed step before it, a cancelled run, a restored task whose turn has come. */
  Plan: {
    Pending: ['Ready', 'Blocked', 'AwaitingHuman', 'Skipped', 'Failed', 'Cancelled'],
    Blocked: ['Ready', 'Skipped', 'Failed', 'Cancelled'],
    Ready: ['Blocked', 'Skipped', 'Failed', 'Cancelled'],
    Offered: ['Cancelled'],
    Verifying: ['Cancelled'],
    AwaitingHuman: ['Cancelled'],
  },
  Pause: { Ready: ['Blocked'], Blocked: ['Ready'] },
  Offer: { Ready: ['Offered'] },
  /** Nobody accepted in time, or the session that it was offered to is gone. */
  Unaccepted: { Offered: ['Ready'] },
  Accept: { Offered: ['Claimed'] },
  Started: {
    Claimed: ['Running'],
    Unknown: ['Unknown'],
    Verifying: ['Verifying'],
    AwaitingHuman: ['AwaitingHuman'],
  },
  /** The runner's journal proves that nothing started. */
  Released: {
    Offered: ['Ready'],
    Claimed: ['Ready', 'Cancelled'],
    Unknown: ['Ready', 'Cancelled'],
    Verifying: ['Ready', 'Cancelled'],
    AwaitingHuman: ['Ready', 'Cancelled'],
  },
  Result: {
    Claimed: [...toldOutcome, ...unclearOutcome],
    Running: [...toldOutcome, ...unclearOutcome],
    Unknown: [...toldOutcome, ...unclearOutcome],
    Verifying: [...toldOutcome, 'Verifying'],
    AwaitingHuman: [...toldOutcome, 'AwaitingHuman'],
  },
  /** The runner that holds the epoch lists it again, in a poll or in the journal of a new session. */
  Vouched: {
    Offered: held,
    Claimed: held,
    Running: held,
    Unknown: held,
    Verifying: held,
    AwaitingHuman: held,
  },
  /** The lease ended, or the runner does not list it. */
  Silence: { Claimed: ['Unknown'], Running: ['Unknown'] },
  /** Three processes died with it. */
  Crash: { Claimed: ['Failed', 'Claimed'], Running: ['Failed', 'Running'], Unknown: ['Failed', 'Unknown'] },
  /** What `onLost` says, after its time. */
  Policy: { Unknown: ['Lost', 'Ready', 'Verifying', 'AwaitingHuman', 'Failed'] },
  /** The verify script answered, or did not. */
  Probe: { Verifying: ['Succeeded', 'Ready', 'AwaitingHuman', 'Failed'] },
  /** A probe whose question is answered otherwise. */
  Withdraw: { Pending: ['Cancelled'], Ready: ['Cancelled'], Blocked: ['Cancelled'], Offered: ['Cancelled'] },
  Deadline: {
    Ready: ['Failed'],
    Blocked: ['Failed'],
    Verifying: ['AwaitingHuman'],
    AwaitingHuman: ['Lost'],
  },
  Decision: { AwaitingHuman: ['Succeeded', 'Failed', 'Ready'] },
  /** In recovery, for a task that no runner has vouched for yet, or at a higher epoch than told before. */
  Recovered: {
    Pending: [...held, ...outcomes],
    Blocked: [...held, ...outcomes],
    Ready: [...held, ...outcomes],
    Offered: [...held, ...outcomes],
    Claimed: [...held, ...outcomes],
    Running: [...held, ...outcomes],
    Unknown: [...held, ...outcomes],
    Verifying: [...held, ...outcomes],
    AwaitingHuman: [...held, ...outcomes],
  },
  /** Recovery ended and nobody had vouched. */
  Unvouched: {
    Pending: ['Pending'],
    Blocked: ['AwaitingHuman', 'Blocked'],
    Ready: ['AwaitingHuman', 'Ready'],
    Offered: ['AwaitingHuman'],
    Claimed: ['AwaitingHuman'],
    Running: ['AwaitingHuman'],
    Unknown: ['AwaitingHuman'],
    Verifying: ['AwaitingHuman'],
    AwaitingHuman: ['AwaitingHuman'],
  },
} as const satisfies Record<string, Moves>;

export type Cause = keyof typeof moves;

export const isLegal = (cause: Cause, from: TaskState, to: TaskState): boolean => {
  const ofCause: Moves = moves[cause];
  return ofCause[from]?.includes(to) ?? false;
};
