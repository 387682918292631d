import { beforeAll, expect, test } from 'vitest';
import type { Step } from '@outrider/kinds';
import { markedProcesses, type MarkedProcess } from '../servers/marked.ts';
import { waitFor } from '../servers/wait.ts';
import { startSshTarget, startWitnessed, stepOf, type SshTarget } from './faults-fixture.ts';
import { useStack } from './stack.ts';
import { createWitness } from './witness.ts';

const stack = useStack();
let ssh: SshTarget;

beforeAll(async () => {
  ssh = await startSshTarget(stack);
  await stack.startRunner('worker', { flags: ['--local-exec'] });
  await stack.allowLocalExec('worker');
});

/** Processes of a run, wherever they moved to. */
const ofRun = (run: string): MarkedProcess[] => markedProcesses('OUTRIDER_RUN', run);

interface Place {
  readonly node: string;
  readonly step: () => Pick<Step, 'node' | 'target'>;
  /** Everything of this run that is alive where it runs. */
  readonly alive: (run: string) => MarkedProcess[];
}

const places: readonly Place[] = [
  {
    node: 'ssh-exec',
    step: () => ({ node: 'ssh-exec', target: ssh.target }),
    // Every process that sessions of this sshd left behind, whether it carries a mark of ours or not.
    alive: () => ssh.sshd.processes(),
  },
  { node: 'local-exec', step: () => ({ node: 'local-exec' }), alive: ofRun },
];

/** Four kinds of children, before the script itself waits: plain, of a subshell, in a session of its own, deaf to TERM. */
const family = `sleep 301 &
( sleep 302; true ) &
setsid sh -c 'sleep 303; true' </dev/null >/dev/null 2>&1 &
sh -c 'trap "" TERM; while :; do sleep 0.2; done' &
`;

/** Of the step itself nothing is left when its end is told; what kept watch over it goes once that end is recorded. */
const expectNothingLeft = async (run: string, place: Place): Promise<void> => {
  expect(ofRun(run)).toEqual([]);
  await waitFor('what watched over it to go', () => place.alive(run).length === 0, {
    detail: () => JSON.stringify(place.alive(run)),
  });
};

const startFamily = async (name: string, place: Place, more: Pick<Step, 'timeout'> = {}): Promise<string> => {
  const run = await startWitnessed(stack, name, { ...place.step(), ...more, before: family });
  await run.witness.begun();
  const commands = (): string =>
    place
      .alive(run.name)
      .map(({ command }) => command)
      .join('\n');
  for (const part of ['sleep 301', 'sleep 302', 'sleep 303', 'trap "" TERM'])
    await waitFor(`${part} to run`, () => commands().includes(part), { detail: commands });
  return run.name;
};

test.each(places)('a cancelled $node step leaves no process, in whatever session it hid', async (place) => {
  const run = await startFamily(`cancel-${place.node}`, place);
  const { code, stdout } = await stack.cli(['cancel', run]);
  expect([code, stdout]).toEqual([0, `${run}\n`]);
  const ended = await stack.waitForEnd(run);
  await expectNothingLeft(run, place);
  expect(ended.status?.phase).toBe('Cancelled');
  expect(stepOf(ended)).toMatchObject({
    phase: 'Cancelled',
    reason: 'Cancelled',
    message: 'The step was cancelled, and nothing of it is left running.',
  });
});

test.each(places)('a $node step over its timeout leaves no process and ends TimedOut', async (place) => {
  const run = await startFamily(`timeout-${place.node}`, place, { timeout: '15s' });
  const ended = await stack.waitForEnd(run);
  await expectNothingLeft(run, place);
  expect(ended.status?.phase).toBe('Failed');
  expect(stepOf(ended)).toMatchObject({
    phase: 'TimedOut',
    reason: 'TimedOut',
    message: 'The step took longer than its timeout, and nothing of it is left running.',
  });
});

test('what has not started when its run is cancelled never starts', async () => {
  const folder = stack.footprint.subfolder('witness');
  const [first, second] = [createWitness(folder, 'first'), createWitness(folder, 'second')];
  await stack.workflow('two', {
    steps: [
      { name: 'first', node: 'local-exec', script: first.script },
      { name: 'second', node: 'local-exec', script: second.script },
    ],
  });
  const run = await stack.startRun('two');
  await first.begun();
  await stack.mustCli('cancel', run);
  const { status } = await stack.waitForEnd(run);
  expect(status?.phase).toBe('Cancelled');
  expect(status?.steps?.map(({ phase }) => phase)).toEqual(['Cancelled', 'Cancelled']);
  expect([first.executions(), first.ends(), second.executions()]).toEqual([1, 0, 0]);
});

test('a run that waits for a runner is cancelled at once', async () => {
  const runner = { tags: ['nobody-has-this'] };
  const { name, witness } = await startWitnessed(stack, 'queued', { node: 'local-exec', runner });
  await stack.waitForRun(name, 'to wait', (run) => stepOf(run).reason === 'NoRunner');
  await stack.mustCli('cancel', name);
  expect((await stack.waitForEnd(name, 15_000)).status?.phase).toBe('Cancelled');
  expect(witness.executions()).toBe(0);
});
