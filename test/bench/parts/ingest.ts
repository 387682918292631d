import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '../../servers/wait.ts';
import { percentile } from '../figures.ts';
import type { Bench } from '../harness/bench.ts';
import { arePolling, haveEnded, offerDelays, steps } from '../harness/offers.ts';
import type { Program } from '../harness/program.ts';
import { atLeast, atMost, ms, type Section } from '../harness/section.ts';
import { registerRunners, startFleet, startOperatorProgram, type Fleet } from '../harness/site-setup.ts';
import type { OperatorHandlers } from '../programs/operator.ts';

const attempts = 50;
const runners = 10;
/** Slots beyond those that write logs, for the work that goes on beside it. */
const capacity = 10;
const baselineMb = 200;
const offersPerSecond = 20;

/** MB per second of processor time into a bare SQLite file: FULL sync, commits of 1 MiB. */
const measureBare = (folder: string): number => {
  const file = join(folder, 'bare.db');
  const db = new DatabaseSync(file);
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
  db.exec('CREATE TABLE chunks (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT');
  const insert = db.prepare('INSERT INTO chunks (bytes) VALUES (?)');
  const mebibyte = Buffer.alloc(1_048_576, 'the quick brown fox\n');
  const before = process.cpuUsage();
  for (let i = 0; i < baselineMb; i++) {
    db.exec('BEGIN');
    insert.run(mebibyte);
    db.exec('COMMIT');
  }
  const { user, system } = process.cpuUsage(before);
  db.close();
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true });
  return (baselineMb * mebibyte.length) / (user + system);
};

/** Offers delivered while `count` runs of one step are started one after the other. */
const trickle = async (
  operator: Program<OperatorHandlers>,
  fleet: Fleet,
  { prefix, seconds }: { prefix: string; seconds: number },
): Promise<number[]> => {
  await offerDelays(operator, fleet);
  for (let i = 0; i < seconds * offersPerSecond; i++) {
    await operator.call('startRuns', { workflow: 'beside', names: [`${prefix}-${i}`] });
    // The pace, not a wait for anything.
    await sleep(1000 / offersPerSecond);
  }
  // What is still on its way after so long is left out of the percentiles.
  await sleep(200);
  return offerDelays(operator, fleet);
};

export const measureIngest = async ({ footprint, launcher, scale }: Bench): Promise<Section> => {
  const bytesPerAttempt = Math.round(10_000_000 * scale);
  const site = await registerRunners({ footprint, launcher, name: 'ingest', runners: runners * 2 });
  const { operator, server } = await startOperatorProgram(launcher, site);
  // The second half of the runners does the work beside the logs.
  const writers = await startFleet(launcher, { ...site, runners }, server, {
    capacity: attempts / runners,
    perSecond: 100,
  });
  await arePolling(operator, runners, 30_000);
  await operator.call('addTargets', attempts);
  await operator.call('addWorkflow', { name: 'beside', spec: { steps: steps(1) } });
  await operator.call('addWorkflow', {
    name: 'loud',
    spec: { steps: steps(1, { targets: { matchLabels: { bench: 'all' } } }) },
  });
  await operator.call('follow');
  await writers.all((each) => each.call('writeLogs', { bytesPerAttempt }));
  await operator.call('startRuns', { workflow: 'loud', names: ['loud-0'] });
  const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0);
  const written = async (): Promise<number> => sum(await writers.all((each) => each.call('written')));
  // The work beside the logs comes when every slot of the writers is taken.
  await waitFor('logs to be written', async () => (await written()) > 0);
  const begun = await operator.call('usage');
  const writtenBefore = await written();
  const others = await startFleet(launcher, { ...site, name: 'ingest-beside' }, server, {
    capacity,
    perSecond: 100,
    from: runners,
  });
  await operator.call('resetLoopDelay');
  const beside = await trickle(operator, others, { prefix: 'beside', seconds: 5 });
  await haveEnded(operator, attempts + 5 * offersPerSecond, 240_000);
  const after = await operator.call('usage');
  const bytes = (await written()) - writtenBefore;
  const tail = await operator.call('tailDelays');
  const quiet = await trickle(operator, others, { prefix: 'quiet', seconds: 5 });
  const failures = [
    ...(await writers.all((each) => each.call('failures'))),
    ...(await others.all((each) => each.call('failures'))),
  ].flat();
  await writers.stop();
  await others.stop();
  await operator.stop();
  const bare = measureBare(footprint.folder);
  const perCpuSecond = bytes / 1000 / (after.cpuMs - begun.cpuMs);
  const rate = { goal: 50, show: (value: number) => `${value.toFixed(0)} MB / s` };
  return {
    title: 'Log ingestion',
    text: `${attempts} attempts of ${runners} simulated runners write ${(bytesPerAttempt / 1e6).toFixed(0)} MB each, lines of 80 bytes in frames of 8 KiB, as fast as the operator takes them; one log is followed line by line as the portal does, and ${offersPerSecond} runs a second are carried out beside it by other runners.`,
    rows: [
      {
        figure: 'bare `node:sqlite`, FULL sync, commits of 1 MiB, a second of processor time',
        value: rate.show(bare),
      },
      atLeast('operator, a second of its processor time', perCpuSecond, rate),
      { figure: 'by the clock', value: rate.show(bytes / 1000 / (after.at - begun.at)) },
      atMost(`from a line's making to its follower, p99 of ${tail.length} lines`, percentile(tail, 0.99), {
        goal: 500,
        show: ms,
      }),
      { figure: 'the same, p50', value: ms(percentile(tail, 0.5)) },
      {
        figure: "an offer's way to the runner beside it, p50 / p99",
        value: `${ms(percentile(beside, 0.5))} / ${ms(percentile(beside, 0.99))}`,
      },
      {
        figure: 'the same without logs',
        value: `${ms(percentile(quiet, 0.5))} / ${ms(percentile(quiet, 0.99))}`,
      },
      atMost('event loop delay, p99', after.loopDelayP99, { goal: 50, show: ms }),
      { figure: 'requests that failed', value: `${failures.reduce((sum, [, count]) => sum + count, 0)}` },
    ],
    notes:
      'The processor time counts everything in the operator meanwhile: TLS, DPoP, the ledger, the follower and the runs beside it.',
  };
};
