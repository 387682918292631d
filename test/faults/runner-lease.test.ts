import { afterAll, beforeAll, expect } from 'vitest';
import { killed } from '../e2e/faults-fixture.ts';
import { Stack } from '../e2e/stack.ts';
import { createNetns } from '../servers/netns.ts';
import { waitFor } from '../servers/wait.ts';
import { cell } from './harness.ts';
import { createLine, type Line } from './line.ts';
import {
  leftOf,
  processesOf,
  resultOf,
  says,
  shortFlags,
  startLocal,
  startTagged,
} from './runner-fixture.ts';

const stack = new Stack();
const short = { component: 'Runner', times: 'Short' } as const;
let exec: readonly string[];
let line: Line;

beforeAll(async () => {
  const netns = await createNetns({ footprint: stack.footprint, name: 'outrider-lease' });
  await stack.start({ address: netns.hostAddress, flags: shortFlags });
  const operator = { host: netns.hostAddress, port: Number(new URL(stack.operator.runnerApiUrl).port) };
  await netns.allow([operator]);
  ({ exec } = netns);
  line = createLine(netns, operator);
});
afterAll(() => stack.stop());

cell(
  { ...short, moment: 'running on its own machine', fault: 'kill -9, restarted', quick: true },
  async () => {
    const runner = await startTagged(stack, 'own-machine');
    const { name, witness } = await startLocal(stack, 'killed-local', {
      tag: 'own-machine',
      before: `sleep 300 &\nsetsid sh -c 'sleep 301; true' </dev/null >/dev/null 2>&1 &\n`,
    });
    await witness.begun();
    await killed(runner.process);
    expect(processesOf(name).length).toBeGreaterThan(2);
    await runner.restart();
    const run = await stack.waitForEnd(name);
    const { unconfirmed = 0 } = run.status?.steps?.[0] ?? {};
    return {
      result: `${resultOf(run)}, ${unconfirmed} unconfirmed`,
      expectedResult: 'Failed Lost, 0 unconfirmed',
      executions: witness.executions(),
      expectedExecutions: 1,
      left: await leftOf(name),
    };
  },
);

cell(
  {
    component: 'Line runner–operator',
    times: 'Short',
    moment: 'running, onLost: Retry',
    fault: 'packets dropped until another runner has the step',
  },
  async () => {
    const cut = await startTagged(stack, 'cut-off', { exec, tags: ['line'] });
    const { name, witness } = await startLocal(stack, 'cut-off', {
      tag: 'line',
      onLost: 'Retry',
      retry: { limit: 1, delay: '100ms' },
      script: 'exit 0\n',
    });
    await witness.begun();
    const first = processesOf(name).map(({ pid }) => pid);
    await startTagged(stack, 'still-there', { tags: ['line'] });
    await line.fail('drop');
    await waitFor('another runner to execute it', () => witness.executions() === 2, { timeoutMs: 60_000 });
    const together = processesOf(name).filter(({ pid }) => first.includes(pid));
    await line.heal();
    await says(cut.process, 'a lease cannot be renewed; the attempt is ended');
    witness.open();
    const run = await stack.waitForEnd(name);
    return {
      result: `${resultOf(run)}, ended ${witness.ends()}, ${together.length} of the first amid the second`,
      expectedResult: 'Succeeded 0, ended 1, 0 of the first amid the second',
      executions: witness.executions(),
      expectedExecutions: 2,
      left: await leftOf(name),
    };
  },
);
