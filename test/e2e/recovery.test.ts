import { copyFileSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { systemNamespace } from '../servers/outrider.ts';
import { waitFor } from '../servers/wait.ts';
import { exited, killed, startWitnessed, stepOf, type WitnessedRun } from './faults-fixture.ts';
import { useStack } from './stack.ts';

const stack = useStack({
  flags:
    '--lease 6s --poll-time 2s --offer-time 2s --unknown-grace 5s --kill-grace 2s --online-time 3s --offline-time 5s --settle-time 1s'.split(
      ' ',
    ),
});

const ledgerFile = (suffix = ''): string => join(stack.operator.dataDir, `ledger.db${suffix}`);
const copyFile = (): string => join(stack.footprint.subfolder('backup'), 'ledger.db');

const stopOperator = async (): Promise<void> => {
  const { process } = stack.operator;
  process.signal('SIGTERM');
  expect(await exited(process, 15_000)).toBe(0);
};

const copySuffixes = ['', '-wal'];

/** As a snapshot of the volume does while the operator runs. */
const snapshot = (): void => {
  for (const suffix of copySuffixes)
    if (existsSync(ledgerFile(suffix))) copyFileSync(ledgerFile(suffix), `${copyFile()}${suffix}`);
};

const putSnapshotBack = async (): Promise<void> => {
  for (const suffix of ['', '-wal', '-shm']) rmSync(ledgerFile(suffix), { force: true });
  for (const suffix of copySuffixes)
    if (existsSync(`${copyFile()}${suffix}`)) copyFileSync(`${copyFile()}${suffix}`, ledgerFile(suffix));
  await stack.restartOperator();
};

/** As an administrator puts a backup back: the database, and nothing of what was written since. */
const putBack = async (): Promise<void> => {
  await stopOperator();
  for (const suffix of ['-wal', '-shm']) rmSync(ledgerFile(suffix), { force: true });
  copyFileSync(copyFile(), ledgerFile());
  await stack.restartOperator();
};

interface LedgerMap {
  readonly data: Readonly<Record<string, string>>;
}

const ledgerMap = async (): Promise<LedgerMap['data']> => {
  const text = await stack.controlPlane.mustKubectl([
    '-n',
    systemNamespace,
    'get',
    'configmap',
    'outrider-ledger',
    '-o',
    'json',
  ]);
  return (JSON.parse(text) as LedgerMap).data;
};

const metric = async (name: string): Promise<string | undefined> => {
  const text = await (await fetch(`${stack.operator.metricsUrl}/metrics`)).text();
  return text
    .split('\n')
    .find((line) => line.startsWith(`${name} `))
    ?.split(' ')[1];
};

const systemEvents = async (): Promise<readonly { reason: string; note: string }[]> => {
  const text = await stack.controlPlane.mustKubectl([
    '-n',
    systemNamespace,
    'get',
    'events.events.k8s.io',
    '-o',
    'json',
  ]);
  return (JSON.parse(text) as { items: { reason: string; note: string }[] }).items;
};

const startRun = (name: string, tag: string): Promise<WitnessedRun> =>
  startWitnessed(stack, name, { node: 'local-exec', runner: { tags: [tag] } });

const counts = (runs: readonly WitnessedRun[]): readonly number[] =>
  runs.map(({ witness }) => witness.executions());

describe('a copy of the ledger that is put back after work went on', () => {
  const runs: Record<'ended' | 'going' | 'orphaned' | 'forgotten' | 'later', WitnessedRun | undefined> = {
    ended: undefined,
    going: undefined,
    orphaned: undefined,
    forgotten: undefined,
    later: undefined,
  };
  const run = (name: keyof typeof runs): WitnessedRun => {
    const found = runs[name];
    if (found === undefined) throw new Error(`run ${name} has not been started`);
    return found;
  };
  let generation: string | undefined;

  beforeAll(async () => {
    for (const name of ['stays', 'leaves']) {
      await stack.startRunner(name, { tags: [name], flags: ['--local-exec'] });
      await stack.allowLocalExec(name);
    }
  });

  test('is recognized before anything is offered', async () => {
    runs.ended = await startRun('ended', 'stays');
    runs.going = await startRun('going', 'stays');
    runs.orphaned = await startRun('orphaned', 'leaves');
    for (const name of ['ended', 'going', 'orphaned'] as const) await run(name).witness.begun();
    await stopOperator();
    copyFileSync(ledgerFile(), copyFile());
    expect(existsSync(ledgerFile('-wal'))).toBe(false);
    await stack.restartOperator();

    for (const name of ['ended', 'orphaned'] as const) {
      run(name).witness.open();
      expect((await stack.waitForEnd(run(name).name)).status?.phase).toBe('Succeeded');
    }
    runs.forgotten = await startRun('forgotten', 'stays');
    run('forgotten').witness.open();
    expect((await stack.waitForEnd(run('forgotten').name)).status?.phase).toBe('Succeeded');
    const before = await ledgerMap();
    expect(before).toMatchObject({ state: 'Normal' });
    ({ generation } = before);

    // Who ran it is gone for good, and its journal with it.
    await stack.kubectl('patch', 'runner', 'leaves', '--type=merge', '-p', '{"spec":{"revoked":true}}');
    await putBack();
    const after = await ledgerMap();
    expect(after).toMatchObject({
      state: 'Recovery',
      reason: expect.stringMatching(
        /^The ledger stands at sequence \d+, and the cluster has seen it at \d+: a copy from before was put back\.$/,
      ),
    });
    expect(after['generation']).not.toBe(generation);
    expect(await metric('outrider_recovery_active')).toBe('1');
    await waitFor('the Event', async () =>
      (await systemEvents()).some(({ reason }) => reason === 'RecoveryActive'),
    );
    const shown = await stack.mustCli('recovery');
    expect(shown).toContain('The ledger is in recovery');
  });

  test('starts nothing, takes results from journals, and lets go on what a runner vouches for', async () => {
    const ended = await stack.waitForRun(
      run('ended').name,
      'to have its result again',
      ({ status }) => status?.steps?.[0]?.phase === 'Succeeded',
    );
    expect(stepOf(ended).attempts).toBe(1);
    await waitFor('the runner to vouch for what goes on', async () => {
      const [step] = (await stack.readRun(run('going').name)).status?.steps ?? [];
      return step?.phase === 'Running' && step.reason === undefined;
    });
    runs.later = await startRun('later', 'stays');
    const queued = await stack.waitForRun(
      run('later').name,
      'to wait for the recovery',
      ({ status }) => status?.conditions?.some(({ reason }) => reason === 'RecoveryActive') ?? false,
    );
    expect(queued.status?.phase).toBe('Queued');
    run('going').witness.open();
    await waitFor('what goes on to end', () => run('going').witness.ends() === 1);
    expect(counts([run('ended'), run('going'), run('orphaned'), run('forgotten'), run('later')])).toEqual([
      1, 1, 1, 1, 0,
    ]);
  });

  test('survives a restart of the operator in the middle', async () => {
    await stopOperator();
    await stack.restartOperator();
    expect(await ledgerMap()).toMatchObject({ state: 'Recovery' });
    expect(await metric('outrider_recovery_active')).toBe('1');
  });

  test('goes on once somebody confirms: a person decides about what nobody vouched for', async () => {
    await stack.mustCli('recovery', 'confirm');
    await waitFor('the recovery to end', async () => (await ledgerMap())['state'] === 'Normal', {
      timeoutMs: 60_000,
    });
    run('later').witness.open();
    for (const name of ['ended', 'going', 'later'] as const)
      expect((await stack.waitForEnd(run(name).name)).status?.phase).toBe('Succeeded');
    const asked = await stack.waitForRun(
      run('orphaned').name,
      'to wait for a person',
      ({ status }) => status?.steps?.[0]?.phase === 'AwaitingHuman',
    );
    const attempt = `${stepOf(asked).attempts}`;
    expect(stepOf(asked).message).toMatch(
      new RegExp(`^Nobody knows how attempt ${attempt} ended; check, then: `),
    );
    const decide = ['decide', run('orphaned').name, 'only', '--attempt', attempt];
    await stack.mustCli(...decide, '--succeeded', '--reason', 'The target shows that it was done.');
    const decided = await stack.waitForEnd(run('orphaned').name);
    expect(decided.status?.phase).toBe('Succeeded');
    expect((await stack.readRun(run('forgotten').name)).status?.phase).toBe('Succeeded');
    expect(counts([run('ended'), run('going'), run('orphaned'), run('forgotten'), run('later')])).toEqual([
      1, 1, 1, 1, 1,
    ]);
    expect(await metric('outrider_recovery_active')).toBe('0');
    expect((await systemEvents()).map(({ reason }) => reason)).toContain('RecoveryEnded');
  });
});

test('a copy of a moment ago is found out by a run that has begun since, which is not executed again', async () => {
  await stopOperator();
  await stack.restartOperator();
  snapshot();
  const { name, witness } = await startRun('since', 'stays');
  await witness.begun();
  await stack.waitForRun(name, 'to have begun', ({ status }) => status?.phase === 'Running');
  await killed(stack.operator.process);
  await putSnapshotBack();
  expect(await ledgerMap()).toMatchObject({
    state: 'Recovery',
    reason: `A copy of the ledger was put back: WorkflowRun ${stack.namespace}/${name} shows that it has begun, and the ledger does not know it.`,
  });
  await stack.mustCli('recovery', 'confirm');
  const lost = await stack.waitForEnd(name);
  expect(lost.status?.conditions?.[0]).toMatchObject({ type: 'Completed', reason: 'Lost' });
  expect(witness.executions()).toBe(1);
});
