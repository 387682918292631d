import { defaultTimes, type Times } from './dispatch/times.ts';

/** Flags whose values are durations, by the time that they set. */
export const timeFlags = {
  'poll-time': 'pollMs',
  lease: 'leaseMs',
  'kill-grace': 'killGraceMs',
  'offer-time': 'offerMs',
  'unknown-grace': 'unknownGraceMs',
  'online-time': 'onlineMs',
  'offline-time': 'offlineMs',
  'settle-time': 'settleMs',
  'leader-lease': 'leaderLeaseMs',
} as const satisfies Readonly<Record<string, keyof OperatorTimes>>;

export type TimeFlag = keyof typeof timeFlags;

export interface OperatorTimes extends Times {
  /** Another replica may lead when the Lease was not renewed for so long. */
  readonly leaderLeaseMs: number;
}

export const defaultOperatorTimes: OperatorTimes = { ...defaultTimes, leaderLeaseMs: 15_000 };

/** `1h30m`, without units that are zero. */
export const durationText = (ms: number): string => {
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(ms / 3_600_000), 'h'],
    [Math.floor(ms / 60_000) % 60, 'm'],
    [Math.floor(ms / 1000) % 60, 's'],
    [ms % 1000, 'ms'],
  ];
  const text = parts.map(([amount, unit]) => (amount === 0 ? '' : `${amount}${unit}`)).join('');
  return text === '' ? '0s' : text;
};

interface Bounds {
  readonly least: number;
  readonly most: number;
  /** Why not less, or not more. */
  readonly because: string;
}

const bounds: Readonly<Record<TimeFlag, Bounds>> = {
  lease: {
    least: 3000,
    most: 600_000,
    because:
      'a shorter one is lost in an ordinary hiccup, a longer one hides for too long that a runner died',
  },
  'poll-time': {
    least: 500,
    most: 120_000,
    because: 'shorter polls are traffic for nothing, and longer ones are cut by proxies',
  },
  'kill-grace': {
    least: 100,
    most: 600_000,
    because: 'a runner needs time to end its work, and the retry waits for it',
  },
  'offer-time': {
    least: 1000,
    most: 60_000,
    because: 'a runner must be able to accept in time, and work that nobody accepts waits for it',
  },
  'unknown-grace': {
    least: 0,
    most: 7 * 86_400_000,
    because: 'a run with lost work does not end before',
  },
  'online-time': {
    least: 1000,
    most: 3_600_000,
    because: 'shorter silences are ordinary, and a longer one hides that a runner died',
  },
  'offline-time': {
    least: 2000,
    most: 86_400_000,
    because: 'a runner is Degraded before it is Offline, and nobody looks for a runner that is not Offline',
  },
  'settle-time': {
    least: 0,
    most: 600_000,
    because: 'no deadline is acted on while the operator waits for runners to come back',
  },
  'leader-lease': {
    least: 3000,
    most: 300_000,
    because:
      'a shorter one is lost in an ordinary hiccup of the API server, and another replica waits for a longer one',
  },
};

const boundsProblem = (flag: TimeFlag, ms: number): string | undefined => {
  const { least, most, because } = bounds[flag];
  if (ms >= least && ms <= most) return undefined;
  return `--${flag} ${durationText(ms)} is not between ${durationText(least)} and ${durationText(most)}: ${because}.`;
};

/** Times that contradict each other. */
const conflict = (times: OperatorTimes): string | undefined => {
  const { pollMs, leaseMs, onlineMs, offlineMs } = times;
  if (pollMs * 3 > leaseMs)
    return (
      `--poll-time ${durationText(pollMs)} is too long for --lease ${durationText(leaseMs)}: each poll renews the leases of ` +
      'what its runner holds, and one that fails must leave time for the next. ' +
      `Give at most a third of the lease, ${durationText(Math.floor(leaseMs / 3))}, or a longer lease.`
    );
  if (onlineMs >= offlineMs)
    return (
      `--online-time ${durationText(onlineMs)} is not below --offline-time ${durationText(offlineMs)}: ` +
      'between the two a silent runner is Degraded. Give a shorter one or a longer --offline-time.'
    );
  return undefined;
};

/** Why these times cannot work, for whoever gave them; undefined when they can. */
export const timesProblem = (times: OperatorTimes): string | undefined => {
  for (const flag of Object.keys(timeFlags) as TimeFlag[]) {
    const problem = boundsProblem(flag, times[timeFlags[flag]]);
    if (problem !== undefined) return problem;
  }
  return conflict(times);
};
