import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Footprint } from '../servers/footprint.ts';
import type { Loss } from './file-history.ts';
import { saidByOperator, saidByRunner, sentLogs, type Promised, type Said } from './promises.ts';
import { seededRandom } from './random.ts';
import type { ProgramTrace, Recording } from './recording.ts';
import { survivesInOperator, survivesInRunner, type Broken } from './survivors.ts';

/** Images that are looked at together. */
const atOnce = 4;

/** What became of the power cuts. */
export interface CrashReport {
  readonly images: number;
  /** Promises that images had to keep, all together. */
  readonly promises: number;
  /** What an image lost, or why it did not open. */
  readonly broken: readonly string[];
}

interface Machine {
  readonly name: string;
  readonly trace: ProgramTrace;
  readonly said: readonly Said[];
  readonly look: (folder: string, promises: readonly Promised[]) => Promise<Broken>;
}

/** Half of the cuts come just as something was promised: then the most must be there already. */
const momentOf = ({ trace, said }: Machine, random: () => number): number => {
  const pick = (moments: readonly number[]): number => moments[Math.floor(random() * moments.length)] ?? 0;
  return random() < 0.5 ? pick(said.map(({ at }) => at)) : pick(trace.disk.writes);
};

/** A disk that keeps nothing unsynced, one that keeps all of it, and those between. */
const lossOf = (random: () => number): Loss => {
  const kind = random();
  return { random, kept: kind < 0.15 ? 0 : kind < 0.3 ? 1 : random() };
};

/** The last promise about each attempt is the whole of what was promised of its log. */
const due = (said: readonly Said[], moment: number): Promised[] => {
  const promises = said.filter(({ at }) => at <= moment).map(({ promised }) => promised);
  const latest = new Map(
    promises.map((promised) => [`${promised.kind} ${promised.ref.task}/${promised.ref.epoch}`, promised]),
  );
  return [...latest.values()];
};

/**
 * Cuts the power of the recorded operator and runner at random moments, `count` times, and opens what is left of each with
 * the product's own code. The same seed gives the same images.
 */
export const crashImages = async (
  recording: Recording,
  options: { readonly footprint: Footprint; readonly count: number; readonly seed: number },
): Promise<CrashReport> => {
  const random = seededRandom(options.seed);
  const sent = sentLogs(recording.operator.exchanges);
  const machines: readonly Machine[] = [
    {
      name: 'operator',
      trace: recording.operator,
      said: saidByOperator(recording.operator.exchanges),
      look: (folder, promises) => survivesInOperator(folder, promises, sent),
    },
    {
      name: 'runner',
      trace: recording.runner,
      said: saidByRunner(recording.runner.exchanges),
      look: survivesInRunner,
    },
  ];
  const parent = options.footprint.subfolder('crash-images');
  const broken: string[] = [];
  let promised = 0;
  const cut = async (machine: Machine, image: number): Promise<void> => {
    const moment = momentOf(machine, random);
    const folder = join(parent, `${machine.name}-${image}`);
    machine.trace.disk.materialise(moment, lossOf(random), folder);
    const promises = due(machine.said, moment);
    promised += promises.length;
    const found = await machine.look(folder, promises).catch((error: unknown) => [String(error)]);
    broken.push(...found.map((what) => `${machine.name}, image ${image}, position ${moment}: ${what}`));
    if (found.length === 0) rmSync(folder, { recursive: true });
  };
  for (let image = 0; image < options.count; image += atOnce) {
    const numbers = Array.from({ length: Math.min(atOnce, options.count - image) }, (_, i) => image + i);
    await Promise.all(numbers.flatMap((number) => machines.map((machine) => cut(machine, number))));
  }
  return { images: options.count, promises: promised, broken };
};
