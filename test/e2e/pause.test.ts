import { beforeAll, expect, test } from 'vitest';
import { stepOf } from './faults-fixture.ts';
import { useStack } from './stack.ts';
import { createWitness } from './witness.ts';

const stack = useStack();

beforeAll(async () => {
  await stack.startRunner('edge', { flags: ['--local-exec'] });
  await stack.allowLocalExec('edge');
});

test('a paused run lets what executes end, begins nothing more, and goes on when it is resumed', async () => {
  const first = createWitness(stack.footprint.subfolder('witness'), 'first');
  const second = createWitness(stack.footprint.subfolder('witness'), 'second');
  second.open();
  await stack.workflow('two', {
    steps: [
      { name: 'first', node: 'local-exec', script: first.script },
      { name: 'second', node: 'local-exec', script: second.script },
    ],
  });
  const name = await stack.startRun('two');
  await first.begun();
  const paused = await stack.cli(['pause', name]);
  expect([paused.code, paused.stdout]).toEqual([0, `${name}\n`]);
  await stack.waitForRun(name, 'to be paused', ({ status }) => status?.phase === 'Paused');
  first.open();
  const waiting = await stack.waitForRun(
    name,
    'to have ended its first step',
    (run) => stepOf(run).phase === 'Succeeded',
  );
  expect(waiting.status).toMatchObject({
    phase: 'Paused',
    steps: [{ name: 'first' }, { name: 'second', phase: expect.stringMatching(/^(Pending|Blocked)$/) }],
  });
  const described = await stack.mustCli('describe', name);
  expect(described).toMatch(/^Phase: +Paused$/m);
  expect(described).toContain(`  outrider resume ${name} -n ${stack.namespace}\n`);
  expect(second.executions()).toBe(0);

  expect((await stack.cli(['resume', name])).code).toBe(0);
  expect((await stack.waitForEnd(name)).status?.phase).toBe('Succeeded');
  expect([first.executions(), second.executions()]).toEqual([1, 1]);
});

test('a paused run can be cancelled, and then neither paused nor resumed', async () => {
  await stack.workflow('one', { steps: [{ node: 'local-exec', script: 'true' }] });
  const name = await stack.startRun('one', { desiredState: 'Paused' });
  const before = await stack.waitForRun(name, 'to be paused', ({ status }) => status?.phase === 'Paused');
  expect(stepOf(before).attempts ?? 0).toBe(0);
  expect((await stack.cli(['cancel', name])).code).toBe(0);
  expect((await stack.waitForEnd(name)).status?.phase).toBe('Cancelled');
  for (const verb of ['pause', 'resume']) {
    const refused = await stack.cli([verb, name]);
    expect(refused.stderr).toContain('a cancelled run stays cancelled; create another WorkflowRun');
    expect(refused.code).toBe(1);
  }
});
