import type { TestProject } from 'vitest/node';
import { startControlPlane } from '../servers/control-plane.ts';
import { Footprint } from '../servers/footprint.ts';
import { prepareMachine } from '../servers/prepare.ts';

/** One API server, with controllers, for all end-to-end files; each file runs an operator of its own against it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await Footprint.sweep();
  await prepareMachine();
  const controlPlane = await startControlPlane({ controllers: true, bindAddress: '0.0.0.0' });
  const { url, caFile, adminKubeconfig, dataDir, pkiDir } = controlPlane;
  project.provide('controlPlane', { url, caFile, adminKubeconfig, dataDir, pkiDir });
  return () => controlPlane.stop();
}
