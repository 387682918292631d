import { appendFileSync, readFileSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exited, killed } from '../e2e/faults-fixture.ts';
import { useStack } from '../e2e/stack.ts';
import { startRunner } from '../servers/outrider.ts';
import { waitFor } from '../servers/wait.ts';
import { cell } from './harness.ts';
import { leftOf, logEqual, resultOf, says, shortFlags, startLocal, startTagged } from './runner-fixture.ts';

const stack = useStack({ flags: shortFlags });
const short = { component: 'Runner', times: 'Short' } as const;

/** The program with a small memory disk of its own in place of a folder; it vanishes with the program. */
const onSmallDisk = (folder: string): string[] => {
  const mount = `mount -t tmpfs -o size=48m none '${folder}' && exec "$@"`;
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', mount, 'sh'];
};

/** Leaves so many bytes free on the disk of a folder; answers how to take it back. */
const fill = (folder: string, leave: number): (() => void) => {
  const file = join(folder, 'filler');
  const { bavail, bsize } = statfsSync(folder);
  try {
    writeFileSync(file, Buffer.alloc(Math.max(0, bavail * bsize - leave)));
  } catch (error) {
    // The runner has written meanwhile: full is full.
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
  }
  return () => rmSync(file);
};

const isDegraded = (name: string): Promise<boolean> =>
  stack
    .kubectl('get', 'runner', name, '-o', 'jsonpath={.status.conditions}')
    .then((conditions) => conditions.includes('JournalFull'));

cell(
  { ...short, moment: 'running, and more queued', fault: 'its disk has 2 MB left, later more', quick: true },
  async () => {
    const folder = stack.footprint.subfolder('runner-small');
    const runner = await startTagged(stack, 'small', {
      exec: onSmallDisk(folder),
      flags: ['--capacity', '2', '--journal-mib', '32'],
    });
    const running = await startLocal(stack, 'on-small-disk', { tag: 'small' });
    await running.witness.begun();
    const makeRoom = fill(join('/proc', String(runner.process.pid), 'root', folder), 2_000_000);
    await waitFor('the runner to say that its disk is full', () => isDegraded('small'));
    const queued = await startLocal(stack, 'without-room', { tag: 'small' });
    queued.witness.open();
    running.witness.open();
    const first = resultOf(await stack.waitForEnd(running.name));
    const early = queued.witness.executions();
    makeRoom();
    const second = resultOf(await stack.waitForEnd(queued.name));
    return {
      result: `${first}; ${second}, ${early} begun without room`,
      expectedResult: 'Failed NonZeroExit 7; Failed NonZeroExit 7, 0 begun without room',
      executions: running.witness.executions() + queued.witness.executions(),
      expectedExecutions: 2,
      logEqual: (await logEqual(stack, running.name)) && (await logEqual(stack, queued.name)),
      left: await leftOf(running.name, queued.name),
    };
  },
);

cell({ ...short, moment: 'running', fault: 'its disk has nothing left, later room again' }, async () => {
  const folder = stack.footprint.subfolder('runner-none');
  const runner = await startTagged(stack, 'none', {
    exec: onSmallDisk(folder),
    flags: ['--capacity', '2', '--journal-mib', '32'],
  });
  const { name, witness } = await startLocal(stack, 'no-disk', { tag: 'none', script: 'sleep 1; exit 7\n' });
  await witness.begun();
  const makeRoom = fill(join('/proc', String(runner.process.pid), 'root', folder), 0);
  witness.open();
  await waitFor('the script to end', () => witness.ends() === 1);
  await waitFor('the runner to say that its disk is full', () => isDegraded('none'));
  makeRoom();
  const run = await stack.waitForEnd(name);
  const log = await stack.mustCli('logs', name, 'only');
  return {
    result: `${resultOf(run)}, ${log.includes('ended') || log.includes('bytes left out') ? 'log whole or its gap told' : log}`,
    expectedResult: 'Failed NonZeroExit 7, log whole or its gap told',
    executions: witness.executions(),
    expectedExecutions: 1,
    left: await leftOf(name),
  };
});

cell(
  { ...short, moment: 'finished', fault: 'kill -9, the end of its journal torn, restarted', quick: true },
  async () => {
    const runner = await startTagged(stack, 'torn');
    const first = await startLocal(stack, 'before-torn', { tag: 'torn' });
    first.witness.open();
    const before = resultOf(await stack.waitForEnd(first.name));
    await killed(runner.process);
    appendFileSync(
      join(runner.stateDir, 'journal', 'journal.log'),
      Buffer.concat([Buffer.from([0, 0, 2, 9]), Buffer.alloc(700)]),
    );
    const again = await runner.restart();
    await says(again.process, 'the end of the journal was cut or damaged and is left out');
    const second = await startLocal(stack, 'after-torn', { tag: 'torn' });
    second.witness.open();
    return {
      result: `${before}; ${resultOf(await stack.waitForEnd(second.name))}`,
      expectedResult: 'Failed NonZeroExit 7; Failed NonZeroExit 7',
      executions: first.witness.executions() + second.witness.executions(),
      expectedExecutions: 2,
      logEqual: (await logEqual(stack, first.name)) && (await logEqual(stack, second.name)),
      left: await leftOf(first.name, second.name),
    };
  },
);

cell(
  { ...short, moment: 'running', fault: 'kill -9, the middle of its journal damaged, moved away' },
  async () => {
    const runner = await startTagged(stack, 'damaged');
    const { name, witness } = await startLocal(stack, 'damaged', { tag: 'damaged' });
    await witness.begun();
    await killed(runner.process);
    const path = join(runner.stateDir, 'journal', 'journal.log');
    const journal = readFileSync(path);
    journal[journal.indexOf('"k":"started"')] = 0;
    writeFileSync(path, journal);
    const refused = await startRunner({
      footprint: stack.footprint,
      name: 'damaged',
      token: 'none',
      tags: ['damaged'],
    });
    const code = await exited(refused.process, 15_000);
    await says(refused.process, 'error JournalDamaged: The journal');
    renameSync(path, `${path}.damaged`);
    await runner.restart();
    const run = await stack.waitForEnd(name, 90_000);
    witness.open();
    return {
      result: `exit code ${code}, then ${resultOf(run)}`,
      expectedResult: 'exit code 1, then Lost Lost',
      executions: witness.executions(),
      expectedExecutions: 1,
      left: await leftOf(name),
    };
  },
);

cell({ ...short, moment: 'running', fault: 'its volume replaced by an empty one', quick: true }, async () => {
  const runner = await startTagged(stack, 'replaced');
  const { name, witness } = await startLocal(stack, 'replaced', { tag: 'replaced' });
  await witness.begun();
  await killed(runner.process);
  rmSync(runner.stateDir, { recursive: true });
  const refused = await runner.restart();
  const code = await exited(refused.process, 15_000);
  await says(refused.process, 'error RegistrationTokenUsed');
  await startTagged(stack, 'replaced');
  const run = await stack.waitForEnd(name, 90_000);
  witness.open();
  return {
    result: `exit code ${code} with the old token, then ${resultOf(run)}`,
    expectedResult: 'exit code 3 with the old token, then Lost Lost',
    executions: witness.executions(),
    expectedExecutions: 1,
    left: await leftOf(name),
  };
});
