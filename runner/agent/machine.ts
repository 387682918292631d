import { createHash } from 'node:crypto';
import { lstat, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunnerMachine } from '@outrider/nodes/contract';
import type { RunnerConfig } from './config.ts';
import { privateFolder } from './files.ts';

const exists = async (path: string): Promise<boolean> =>
  lstat(path).then(
    (status) => status.isDirectory(),
    () => false,
  );

/** Empties or makes the folder; false when it is not ours to use. */
const claimEmpty = async (path: string): Promise<boolean> => {
  const uid = process.getuid?.();
  try {
    const status = await lstat(path).catch(() => undefined);
    if (status !== undefined && (!status.isDirectory() || status.uid !== uid)) return false;
    await rm(path, { recursive: true, force: true });
    await mkdir(path, { mode: 0o700 });
    return true;
  } catch {
    return false;
  }
};

/** In memory where the machine has a tmpfs for it; one folder per state folder, emptied here. */
const prepareSecretsDir = async (stateDir: string): Promise<string> => {
  const name = `outrider-runner-${process.getuid?.() ?? 0}-${createHash('sha256').update(stateDir).digest('hex').slice(0, 12)}`;
  const bases = [process.env['XDG_RUNTIME_DIR'] ?? '', '/dev/shm'].filter((base) => base !== '');
  for (const base of bases) {
    const path = join(base, name);
    if ((await exists(base)) && (await claimEmpty(path))) return path;
  }
  const path = join(stateDir, 'secrets');
  await rm(path, { recursive: true, force: true });
  await privateFolder(path);
  return path;
};

/** The machine as executors see it, with its folders made and what an earlier process left in them removed. */
export const prepareMachine = async (config: RunnerConfig): Promise<RunnerMachine> => {
  const workDir = join(config.stateDir, 'work');
  await privateFolder(config.stateDir);
  await privateFolder(workDir);
  return {
    ...(config.kubeconfig === undefined ? {} : { kubeconfig: config.kubeconfig }),
    kubeContexts: config.kubeContexts,
    ...(config.knownHostsFile === undefined ? {} : { knownHostsFile: config.knownHostsFile }),
    kubectl: config.kubectl,
    localExec: config.localExec,
    secretsDir: await prepareSecretsDir(config.stateDir),
    workDir,
  };
};
