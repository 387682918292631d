import { beforeAll, expect, test } from 'vitest';
import { crashImages } from '../durability/crash-images.ts';
import { record, withoutSyncs, type Recording } from '../durability/recording.ts';
import { syncBeforeAcknowledge } from '../durability/sync-order.ts';
import { useStack } from '../e2e/stack.ts';
import { cell, type Observed } from './harness.ts';

/** A few in `make test`, all of them in `make faults`. */
const images = process.env['OUTRIDER_FAULTS_RECORD'] === undefined ? 20 : 200;
const seed = 20_260;

const stack = useStack();
let recording: Recording;
beforeAll(async () => {
  recording = await record(stack);
});

const observe = (kept: number, of: number, lost: readonly string[]): Observed => ({
  result: `${kept} of ${of} kept`,
  expectedResult: `${of} of ${of} kept`,
  executions: recording.executions,
  expectedExecutions: recording.steps,
  left: lost,
});

cell(
  {
    component: 'Operator and runner',
    moment: 'every answer and side effect of 32 steps',
    fault: 'none: strace shows that each waited for its sync',
    times: 'Production',
    quick: true,
  },
  () => {
    const { checked, early } = syncBeforeAcknowledge(recording);
    expect(checked).toBeGreaterThan(5 * recording.steps);
    return Promise.resolve(observe(checked - early.length, checked, early));
  },
);

cell(
  {
    component: 'Operator and runner',
    moment: `${images} random moments of 32 steps`,
    fault: 'power cut: what was synced, and a random, torn part of the rest',
    times: 'Production',
    quick: true,
  },
  async () => {
    const { promises, broken } = await crashImages(recording, {
      footprint: stack.footprint,
      count: images,
      seed,
    });
    expect(promises).toBeGreaterThan(20 * images);
    return observe(promises - broken.length, promises, broken);
  },
  600_000,
);

test('both checks object to an operator and a runner that do not wait for their disks', async () => {
  const operator = withoutSyncs(recording.operator);
  const careless = { ...recording, operator, runner: withoutSyncs(recording.runner) };
  const { checked, early } = syncBeforeAcknowledge(careless);
  expect(early).toHaveLength(checked);
  const { broken } = await crashImages(careless, { footprint: stack.footprint, count: 5, seed });
  for (const machine of ['operator', 'runner'])
    expect(broken.filter((what) => what.startsWith(machine)).length).toBeGreaterThan(0);
});
