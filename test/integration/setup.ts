import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { startControlPlane, type ControlPlane } from '../servers/control-plane.ts';
import type { ControlPlaneFacts } from '../servers/control-plane-launch.ts';
import { Footprint } from '../servers/footprint.ts';
import { prepareMachine } from '../servers/prepare.ts';
import { repositoryRoot } from '../servers/paths.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The API server that all integration files share, with Outrider's CRDs and policies installed. */
    controlPlane: ControlPlaneFacts;
  }
}

/** Starts one control plane for all integration files, and ends it after the last one. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await Footprint.sweep();
  await prepareMachine();
  const controlPlane = await startControlPlane();
  try {
    await installManifests(controlPlane);
  } catch (error) {
    await controlPlane.stop();
    throw error;
  }
  const { url, caFile, adminKubeconfig, dataDir, pkiDir } = controlPlane;
  project.provide('controlPlane', { url, caFile, adminKubeconfig, dataDir, pkiDir });
  return () => controlPlane.stop();
}

/** Applies crds/manifests and waits until the API server serves the kinds. */
async function installManifests(controlPlane: ControlPlane): Promise<void> {
  const folder = join(repositoryRoot, 'crds', 'manifests');
  const files = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : [];
  if (!files.some((file) => file.endsWith('.yaml'))) return;
  await controlPlane.mustKubectl(['apply', '--server-side', '--recursive', '-f', folder]);
  await controlPlane.mustKubectl(['wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all']);
}
