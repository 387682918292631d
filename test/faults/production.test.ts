import { afterAll, beforeAll, beforeEach } from 'vitest';
import { faults, type Fault } from './faults.ts';
import { moments, type Moment } from './moments.ts';
import { productionTimes, Site } from './site.ts';
import { strikeCell } from './strike.ts';

const site = new Site(productionTimes);
beforeAll(() => site.start());
beforeEach(() => site.restore());
afterAll(() => site.stop());

/** With the times of an operator as it is shipped, a few that take minutes among them. */
const plan: readonly (readonly [Fault, Moment])[] = [
  [faults.operatorKilled, moments.offered],
  [faults.operatorKilled, moments.streaming],
  [faults.operatorFrozen, moments.running],
  [faults.runnerKilled, moments.running],
  [faults.runnerFrozen, moments.streaming],
  [faults.lineCutLong, moments.streaming],
  [faults.targetReset, moments.streaming],
];

for (const [fault, moment] of plan) {
  const quick = fault === faults.operatorKilled && moment === moments.streaming;
  strikeCell(site, { fault, moment, times: 'Production', quick }, 300_000);
}
