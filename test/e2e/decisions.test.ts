import type { Condition } from '@outrider/operator/kube/conditions';
import type { RunDetails } from '@outrider/portal';
import { beforeAll, expect, test } from 'vitest';
import type { CommandResult } from '../servers/command.ts';
import { serviceAccount } from './access-fixture.ts';
import { killed, startWitnessed, stepOf, type WitnessedRun, type WitnessedStep } from './faults-fixture.ts';
import { useStack } from './stack.ts';

/** A runner that is killed is given up within seconds. */
const times = {
  lease: '8s',
  'poll-time': '1s',
  'unknown-grace': '1s',
  'kill-grace': '500ms',
  'online-time': '4s',
  'offline-time': '8s',
  'settle-time': '0s',
};
const stack = useStack({ flags: Object.entries(times).flatMap(([name, value]) => [`--${name}`, value]) });
const step: WitnessedStep = { node: 'local-exec', runner: { tags: ['site'] }, onLost: 'Ask' };

const startRunner = async (name: string): ReturnType<typeof stack.startRunner> => {
  const runner = await stack.startRunner(name, { tags: ['site'], flags: ['--local-exec'] });
  await stack.allowLocalExec(name);
  return runner;
};

let lost: Readonly<Record<'done' | 'undone' | 'again', WitnessedRun>>;
/** Kubeconfigs: may start runs and write decisions; may approve as well. */
let oncall: string;
let approver: string;

/** Three runs whose runner is killed for good in the middle of them. */
beforeAll(async () => {
  const runner = await startRunner('doomed');
  lost = {
    done: await startWitnessed(stack, 'done', step),
    undone: await startWitnessed(stack, 'undone', step),
    again: await startWitnessed(stack, 'again', step),
  };
  for (const { witness } of Object.values(lost)) await witness.begun();
  await killed(runner.process);
  const read = { resources: ['workflowruns', 'rundecisions'], verbs: ['get'] };
  const create = { resources: ['workflowruns', 'rundecisions'], verbs: ['create'] };
  oncall = await serviceAccount(stack, 'oncall', read, create, { resources: ['workflows'], verbs: ['run'] });
  approver = await serviceAccount(stack, 'approver', read, create, {
    resources: ['workflows'],
    verbs: ['approve'],
    resourceNames: ['undone'],
  });
});

const account = (name: string): string => `system:serviceaccount:${stack.namespace}:${name}`;

const waitForPerson = async ({ name }: WitnessedRun): Promise<void> => {
  const run = await stack.waitForRun(
    name,
    'to wait for a person',
    (found) => found.status?.steps?.[0]?.phase === 'AwaitingHuman',
  );
  expect(stepOf(run)).toMatchObject({ reason: 'AwaitingHuman', runner: 'doomed', attempts: 1 });
  expect(stepOf(run).message).toContain(
    `outrider decide ${name} only --attempt 1 --succeeded|--failed|--retry`,
  );
  const [completed] = run.status?.conditions ?? [];
  expect(completed).toMatchObject({ type: 'Completed', status: 'False', reason: 'AwaitingHuman' });
};

/** The words of the command that describe shows, as they are typed: up to the reason. */
const shownWords = async (name: string): Promise<readonly string[]> => {
  const described = await stack.mustCli('describe', name);
  const [, words = ''] =
    / {2}outrider (decide .*) --reason "…" {2}\(or --failed, --retry\)\n/.exec(described) ?? [];
  return words.split(' ');
};

const decide = (
  { name }: WitnessedRun,
  decision: string,
  options: { reason: string; kubeconfig?: string },
): Promise<CommandResult> => {
  const { reason, ...rest } = options;
  const words = ['decide', name, 'only', '--attempt', '1', decision, '--reason', reason];
  return stack.cli(words, rest);
};

test('the run says who has to decide and how, and the command that it shows lets it go on', async () => {
  const { done } = lost;
  await waitForPerson(done);
  const words = await shownWords(done.name);
  expect(words).toEqual(`decide ${done.name} only -n ${stack.namespace} --attempt 1 --succeeded`.split(' '));
  const decided = await stack.cli([...words, '--reason', 'the marker file is there']);
  expect(decided.stderr).toContain('Applied: Succeeded.');
  expect(decided.code).toBe(0);
  const run = await stack.waitForEnd(done.name);
  expect(run.status?.phase).toBe('Succeeded');
  expect(stepOf(run)).toMatchObject({ phase: 'Succeeded', reason: 'Decided', attempts: 1 });
  expect(done.witness.executions()).toBe(1);
});

test('who may not approve the workflow is refused by the API server, and nothing changes', async () => {
  const { undone } = lost;
  await waitForPerson(undone);
  const refused = await decide(undone, '--failed', { reason: 'x', kubeconfig: oncall });
  expect(refused.stderr).toContain(
    `user "${account('oncall')}" may not decide on runs of workflow "undone" in namespace "${stack.namespace}"`,
  );
  expect([refused.code, refused.stdout]).toEqual([1, '']);
  expect(stepOf(await stack.readRun(undone.name)).phase).toBe('AwaitingHuman');
});

test('who may approve it decides in their own name, which the run keeps', async () => {
  const { undone } = lost;
  const decided = await decide(undone, '--failed', { reason: 'the disk is full', kubeconfig: approver });
  expect([decided.stderr, decided.code]).toEqual([expect.stringContaining('Applied: Failed.'), 0]);
  const run = await stack.waitForEnd(undone.name);
  expect(run.status?.phase).toBe('Failed');
  expect(stepOf(run)).toMatchObject({ phase: 'Failed', reason: 'Decided' });
  expect(stepOf(run).message).toContain(`${account('approver')} decided about attempt 1: the disk is full`);
  const { history } = JSON.parse(await stack.mustCli('describe', undone.name, '-o', 'json')) as RunDetails;
  expect(history).toEqual([
    {
      at: expect.stringMatching(/^\d{4}-/),
      by: account('approver'),
      step: 'only',
      target: '',
      attempt: 1,
      decision: 'Failed',
      reason: 'the disk is full',
      applied: true,
    },
  ]);
});

test('a repetition is another attempt, by another runner', async () => {
  const { again } = lost;
  await waitForPerson(again);
  expect((await decide(again, '--retry', { reason: 'uptime 40 days' })).code).toBe(0);
  await startRunner('second');
  await stack.waitForRun(again.name, 'to be executed again', (run) => stepOf(run).attempts === 2);
  again.witness.open();
  const run = await stack.waitForEnd(again.name);
  expect(stepOf(run)).toMatchObject({ phase: 'Succeeded', runner: 'second', attempts: 2 });
  expect(again.witness.executions()).toBe(2);
});

test('a second decision about an attempt that is over changes nothing, and says so', async () => {
  const { again } = lost;
  const late = await decide(again, '--failed', { reason: 'too late' });
  expect(late.stderr).toContain('error EpochMismatch: The decision is about attempt 1 of step only');
  expect([late.code, late.stdout]).toEqual([1, '']);
  expect((await stack.readRun(again.name)).status?.phase).toBe('Succeeded');
  const list = JSON.parse(await stack.kubectl('get', 'rundecisions', '-o', 'json')) as {
    items: { spec: { reason: string }; status: { conditions: Condition[] } }[];
  };
  const found = list.items.find(({ spec }) => spec.reason === 'too late');
  expect(found?.status.conditions).toMatchObject([
    { type: 'Applied', status: 'False', reason: 'EpochMismatch' },
  ]);
});

test('kubectl lists who decided what', async () => {
  const listed = await stack.kubectl('get', 'rundecisions', '--sort-by=.metadata.creationTimestamp');
  const rows = listed
    .trimEnd()
    .split('\n')
    .map((row) => row.split(/ {2,}/));
  expect(rows[0]).toEqual(['NAME', 'RUN', 'STEP', 'ATTEMPT', 'DECISION', 'DECIDED BY', 'APPLIED', 'AGE']);
  const told = rows
    .slice(1)
    .map(([, run, , attempt, decision, , applied]) => [run, attempt, decision, applied]);
  expect(told).toEqual(
    expect.arrayContaining([
      [lost.done.name, '1', 'Succeeded', 'True'],
      [lost.undone.name, '1', 'Failed', 'True'],
      [lost.again.name, '1', 'Retry', 'True'],
      [lost.again.name, '1', 'Failed', 'False'],
    ]),
  );
  expect(told).toHaveLength(4);
});
