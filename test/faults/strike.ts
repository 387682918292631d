import type { Fault } from './faults.ts';
import { cell, type Cell, type Observed } from './harness.ts';
import type { Moment } from './moments.ts';
import type { Site } from './site.ts';

/** Brings an attempt to the moment, lets the fault strike, and looks at what became of it. */
const strike = async (site: Site, moment: Moment, fault: Fault): Promise<Observed> => {
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

/** Registers the cell of a fault at a moment. */
export const strikeCell = (
  site: Site,
  { fault, moment, ...about }: Pick<Cell, 'times' | 'quick'> & { fault: Fault; moment: Moment },
  timeoutMs?: number,
): void =>
  cell(
    { component: fault.component, moment: moment.name, fault: fault.name, ...about },
    () => strike(site, moment, fault),
    timeoutMs,
  );
