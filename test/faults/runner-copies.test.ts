import { cpSync, readFileSync, rmSync } from 'node:fs';
import { exited, killed, startSshTarget, startWitnessed, stepOf } from '../e2e/faults-fixture.ts';
import { useStack } from '../e2e/stack.ts';
import { createWitness } from '../e2e/witness.ts';
import { startRunner, type RemoteRunner } from '../servers/outrider.ts';
import { waitFor } from '../servers/wait.ts';
import { cell } from './harness.ts';
import {
  leftOf,
  logEqual,
  logOf,
  processesOf,
  resultOf,
  shortFlags,
  startLocal,
  startTagged,
} from './runner-fixture.ts';

const stack = useStack({ flags: shortFlags });
const short = { component: 'Runner', times: 'Short' } as const;

/** Another process of the runner `of`, in a folder of its own. */
const startCopy = (name: string, of: string, token: string): Promise<RemoteRunner> =>
  startRunner({
    footprint: stack.footprint,
    name,
    token,
    tags: [of],
    flags: ['--local-exec', '--name', of],
  });

/** As a service manager does: whichever has ended is started again, until the operator has had enough of it. */
const restartUntilQuarantined = async (
  first: RemoteRunner,
  second: RemoteRunner,
): Promise<RemoteRunner[]> => {
  const pair = [first, second];
  await waitFor(
    'the two to be quarantined',
    async () => {
      for (const [i, one] of pair.entries()) if (!one.process.running()) pair[i] = await one.restart();
      return pair.some(({ process }) => logOf(process).includes('SessionQuarantined'));
    },
    { timeoutMs: 90_000, detail: () => pair.map(({ process }) => logOf(process).slice(-2000)).join('\n') },
  );
  return pair;
};

cell(
  {
    ...short,
    moment: 'running, and more queued',
    fault: 'its machine cloned, both copies restarted over and over',
  },
  async () => {
    const original = await startTagged(stack, 'cloned');
    const running = await startLocal(stack, 'amid-clones', { tag: 'cloned' });
    await running.witness.begun();
    const copy = stack.footprint.subfolder('runner-clone');
    // On another machine the copied claim is void, for its process is not there.
    const isClaim = (path: string): boolean => /\/lock\.\d+$/.test(path);
    cpSync(original.stateDir, copy, { recursive: true, filter: (path) => !isClaim(path) });
    const clone = await startCopy('clone', 'cloned', 'none');
    const queued = await Promise.all(
      ['one', 'two', 'three'].map((name) => startLocal(stack, `clone-${name}`, { tag: 'cloned' })),
    );
    for (const { witness } of queued) witness.open();
    const pair = await restartUntilQuarantined(original, clone);
    const [left, gone] = pair;
    if (gone?.process.running()) await killed(gone.process);
    rmSync(copy, { recursive: true });
    if (left?.process.running() === false) await left.restart();
    running.witness.open();
    // A quarantine ends a minute after the last session too many.
    const first = await stack.waitForEnd(running.name, 120_000);
    const rest = await Promise.all(queued.map(({ name }) => stack.waitForEnd(name, 120_000)));
    const isTrue = (result: string): boolean =>
      ['Failed NonZeroExit 7', 'Failed Lost', 'Lost Lost'].includes(result);
    const results = [first, ...rest].map(resultOf);
    const counts = [running, ...queued].map(({ witness }) => witness.executions());
    return {
      result: results.every(isTrue) ? 'each true or Lost' : results.join(', '),
      expectedResult: 'each true or Lost',
      executions: Math.max(...counts),
      expectedExecutions: 1,
      left: await leftOf(running.name, ...queued.map(({ name }) => name)),
    };
  },
  240_000,
);

const count = 12;

cell(
  {
    ...short,
    moment: `running ${count} steps`,
    fault: 'one of its two replicas, with a key each, kill -9',
    quick: true,
  },
  async () => {
    const first = await startTagged(stack, 'twins', { flags: ['--capacity', '3'] });
    const second = await startCopy('twin-two', 'twins', await stack.registrationToken('--tags', 'twins'));
    await waitFor('both replicas to be there', async () => {
      const replicas = await stack.kubectl('get', 'runner', 'twins', '-o', 'jsonpath={.status}');
      return replicas.includes('2') && logOf(second.process).includes('session opened');
    });
    const witness = createWitness(stack.footprint.subfolder('witness'), 'twins');
    witness.open();
    const who = `${stack.footprint.subfolder('witness')}/twins.who`;
    const script = `echo "$OUTRIDER_ATTEMPT" >>'${who}'; ${witness.script}sleep 0.5; exit 7\n`;
    const step = { node: 'local-exec', runner: { tags: ['twins'] }, script };
    await stack.workflow('twins', { steps: [{ name: 'only', ...step }] });
    const runs = await Promise.all(Array.from({ length: count }, () => stack.startRun('twins')));
    await waitFor('three executions', () => witness.executions() >= 3);
    await killed(first.process);
    const ends = await Promise.all(runs.map((run) => stack.waitForEnd(run, 90_000)));
    const results = ends.map(resultOf);
    const lost = results.filter((result) => result === 'Lost Lost').length;
    const truths = results.filter((result) => result === 'Failed NonZeroExit 7').length;
    const executed = readFileSync(who, 'utf8').trim().split('\n');
    const again = executed.length - new Set(executed.map((attempt) => attempt.split('/')[0])).size;
    return {
      result: `${truths + lost} true or Lost, at most 3 Lost: ${lost <= 3}`,
      expectedResult: `${count} true or Lost, at most 3 Lost: true`,
      executions: executed.length - again,
      expectedExecutions: executed.length,
      left: await leftOf(...runs),
    };
  },
);

cell(
  {
    ...short,
    moment: 'running, amid a drain',
    fault: 'SIGTERM, and at once a new process of the same state folder',
  },
  async () => {
    const old = await startTagged(stack, 'upgraded');
    const running = await startLocal(stack, 'long-step', { tag: 'upgraded' });
    await running.witness.begun();
    old.process.signal('SIGTERM');
    const early = await old.restart();
    // The folder belongs to the process that still drains: the new one says so, and a service manager starts it again.
    await waitFor('the early one to end', () => !early.process.running());
    const refusal = logOf(early.process).includes('error JournalLocked');
    const queued = await startLocal(stack, 'after-upgrade', { tag: 'upgraded' });
    queued.witness.open();
    running.witness.open();
    const first = await stack.waitForEnd(running.name);
    await waitFor('the old one to have drained', () => !old.process.running());
    await early.restart();
    const second = await stack.waitForEnd(queued.name);
    return {
      result: `JournalLocked: ${refusal}; ${resultOf(first)} after ${stepOf(first).attempts}; ${resultOf(second)}`,
      expectedResult: 'JournalLocked: true; Failed NonZeroExit 7 after 1; Failed NonZeroExit 7',
      executions: running.witness.executions() + queued.witness.executions(),
      expectedExecutions: 2,
      logEqual: (await logEqual(stack, running.name)) && (await logEqual(stack, queued.name)),
      left: await leftOf(running.name, queued.name),
    };
  },
);

cell(
  {
    ...short,
    moment: 'running on a target, silent',
    fault: 'SIGTERM, its time to drain up, a new process started',
    quick: true,
  },
  async () => {
    const { target } = await startSshTarget(stack);
    const old = await stack.startRunner('handing-over', {
      tags: ['handing-over'],
      flags: ['--drain-timeout', '1s'],
    });
    const { name, witness } = await startWitnessed(stack, 'handed-over', {
      node: 'ssh-exec',
      target,
      runner: { tags: ['handing-over'] },
      script: 'exit 7\n',
    });
    await witness.begun();
    old.process.signal('SIGTERM');
    const code = await exited(old.process, 20_000);
    const alive = processesOf(name).length > 0;
    await old.restart();
    witness.open();
    const run = await stack.waitForEnd(name);
    return {
      result: `exit code ${code}, still running: ${alive}, ${resultOf(run)} after ${stepOf(run).attempts}`,
      expectedResult: 'exit code 0, still running: true, Failed NonZeroExit 7 after 1',
      executions: witness.executions(),
      expectedExecutions: 1,
      logEqual: await logEqual(stack, name),
      left: await leftOf(name),
    };
  },
);
