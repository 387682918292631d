import { afterAll, beforeAll, beforeEach } from 'vitest';
import { faults, type Fault } from './faults.ts';
import { cell, type Observed } from './harness.ts';
import { moments, type Moment } from './moments.ts';
import { Site } from './site.ts';

const site = new Site();
beforeAll(() => site.start());
beforeEach(() => site.restore());
afterAll(() => site.stop());

const strike = async (moment: Moment, fault: Fault): Promise<Observed> => {
  const held = await moment.reach(site);
  await fault.strike(site);
  if (fault.mendsAfterRelease !== true) await fault.mend(site);
  await held.release();
  if (fault.mendsAfterRelease === true) await fault.mend(site);
  const run = await site.stack.waitForEnd(held.name, 90_000);
  const { expected, witness } = held;
  const isAgain = run.status?.conditions?.some(({ reason }) => reason === 'AlreadyRan') === true;
  const logDigest = expected.logDigest();
  return {
    result: isAgain ? 'AlreadyRan' : site.resultOf(run),
    expectedResult: expected.result,
    executions: witness.executions(),
    expectedExecutions: expected.executions,
    ...(logDigest === undefined ? {} : { logEqual: (await site.logDigest(held.name)) === logDigest }),
    left: await site.leftovers(held.name),
  };
};

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

for (const [fault, struck] of plan) {
  for (const moment of struck) {
    const isQuick = quick.some(([itsFault, itsMoment]) => itsFault === fault && itsMoment === moment);
    const { component, name } = fault;
    cell({ component, moment: moment.name, fault: name, times: 'Short', quick: isQuick }, () =>
      strike(moment, fault),
    );
  }
}
