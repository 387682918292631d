import { afterAll, beforeAll, beforeEach } from 'vitest';
import { faults, type Fault } from './faults.ts';
import { moments, type Moment } from './moments.ts';
import { Site } from './site.ts';
import { strikeCell } from './strike.ts';

const site = new Site();
beforeAll(() => site.start());
beforeEach(() => site.restore());
afterAll(() => site.stop());

const all: readonly Moment[] = Object.values(moments);
const onTarget: readonly Moment[] = [
  moments.connecting,
  moments.running,
  moments.streaming,
  moments.cancelling,
];

/** Which moments each fault strikes: every one at which it can make a difference. */
const plan: readonly (readonly [Fault, readonly Moment[]])[] = [
  [faults.operatorKilled, all],
  [faults.operatorStopped, all],
  [faults.operatorFrozen, all.filter((moment) => moment !== moments.ended)],
  [faults.runnerKilled, all],
  [faults.runnerStopped, all],
  [faults.runnerFrozen, all],
  [faults.lineCut, all],
  [faults.lineCutLong, all],
  [faults.lineReset, all],
  [faults.targetCut, onTarget],
  [faults.targetReset, onTarget],
  [faults.sessionsKilled, onTarget],
  [faults.apiServerFrozen, [moments.queued, moments.running, moments.streaming, moments.ended]],
];

/** A few that touch every component, for `make test`. */
const quick: readonly (readonly [Fault, Moment])[] = [
  [faults.operatorKilled, moments.ended],
  [faults.runnerKilled, moments.streaming],
  [faults.runnerFrozen, moments.running],
  [faults.lineCutLong, moments.streaming],
  [faults.targetReset, moments.streaming],
  [faults.runnerKilled, moments.cancelling],
];

for (const [fault, struck] of plan)
  for (const moment of struck) {
    const isQuick = quick.some(([itsFault, itsMoment]) => itsFault === fault && itsMoment === moment);
    strikeCell(site, { fault, moment, times: 'Short', quick: isQuick });
  }
