import { join } from 'node:path';
import { Footprint } from '../servers/footprint.ts';
import { repositoryRoot } from '../servers/paths.ts';
import type { Bench } from './harness/bench.ts';
import { printSection, writeDocument } from './harness/document.ts';
import { createLauncher } from './harness/program.ts';
import type { Section } from './harness/section.ts';
import { measureCycle } from './parts/cycle.ts';
import { measureFleet } from './parts/fleet.ts';
import { measureGrowth } from './parts/growth.ts';
import { measureIdle } from './parts/idle.ts';
import { measureIngest } from './parts/ingest.ts';
import { measureLoad } from './parts/load.ts';
import { measureSsh } from './parts/ssh.ts';

/** In the order of the document. */
const parts: Readonly<Record<string, (bench: Bench) => Promise<Section>>> = {
  idle: measureIdle,
  load: measureLoad,
  cycle: measureCycle,
  fleet: measureFleet,
  ssh: measureSsh,
  ingest: measureIngest,
  growth: measureGrowth,
};

/** PARTS=idle,cycle, or the same as arguments; all of them by default. SCALE below 1 is for a look while developing. */
const asked = [...process.argv.slice(2), ...(process.env['PARTS'] ?? '').split(/[\s,]+/)].filter(
  (name) => name !== '',
);
const unknown = asked.filter((name) => !(name in parts));
if (unknown.length > 0)
  throw new Error(`there is no part ${unknown.join(', ')}; the parts are ${Object.keys(parts).join(', ')}`);
const scale = Number(process.env['SCALE'] ?? 1);

const measured = new Map<string, Section>();
let failed = false;
for (const [name, measure] of Object.entries(parts)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  const footprint = Footprint.temporary(`bench-${name}`);
  const launcher = createLauncher(footprint);
  const begun = performance.now();
  try {
    const section = await measure({ footprint, launcher, scale });
    measured.set(name, section);
    console.log(printSection(section));
  } catch (error) {
    failed = true;
    console.error(`The part ${name} failed:`, error);
  } finally {
    await launcher.stop();
    await footprint.end();
  }
  console.log(`  (${name} took ${Math.round((performance.now() - begun) / 1000)} s)`);
}
if (scale === 1) writeDocument(join(repositoryRoot, 'docs', 'benchmarks.md'), Object.keys(parts), measured);
if ([...measured.values()].some(({ rows }) => rows.some(({ met }) => met === false)))
  console.error('A goal was missed: see the table.');
if (failed) process.exitCode = 1;
