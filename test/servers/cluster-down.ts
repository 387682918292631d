import { Footprint } from './footprint.ts';
import { stateFolder } from './paths.ts';

/** `make cluster-down`: ends exactly what `make cluster` started, and removes its data. */
async function main(): Promise<void> {
  const footprint = Footprint.load(stateFolder('cluster'));
  if (footprint === undefined) {
    console.log('No cluster was started here.');
    return;
  }
  await footprint.end();
  console.log('The cluster has ended; its processes, network and data are gone.');
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
