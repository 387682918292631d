import type { Step, StepSummary, StepTarget, WorkflowRun } from '@outrider/kinds';
import { startSshd, type Sshd, type SshdOptions } from '../servers/sshd.ts';
import type { ServerProcess } from '../servers/process.ts';
import { waitFor } from '../servers/wait.ts';
import type { Stack } from './stack.ts';
import { createWitness, type Witness } from './witness.ts';

/** A real sshd and how a step reaches it: with its pinned host key and a key from a Secret of the namespace. */
export interface SshTarget {
  readonly sshd: Sshd;
  readonly target: StepTarget;
}

export const startSshTarget = async (stack: Stack, options: SshdOptions = {}): Promise<SshTarget> => {
  const sshd = await startSshd({ footprint: stack.footprint, ...options });
  await stack.apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'ssh-key', labels: { 'outrider.dev/allow': 'true' } },
    stringData: { 'ssh-privatekey': sshd.clientKeyPem },
  });
  const { host, port, user, hostKeyFingerprint: hostKey } = sshd;
  return { sshd, target: { host, port, user, hostKey, credential: 'secret:ssh-key' } };
};

export interface WitnessedRun {
  readonly name: string;
  readonly witness: Witness;
}

export interface WitnessedStep extends Omit<Step, 'name'> {
  /** Shell lines before the count. */
  readonly before?: string;
  /** Shell lines that follow the gate. */
  readonly script?: string;
}

/** Starts a workflow of one step with a counter and a gate. */
export const startWitnessed = async (
  stack: Stack,
  name: string,
  { before = '', script = '', ...step }: WitnessedStep,
): Promise<WitnessedRun> => {
  const witness = createWitness(stack.footprint.subfolder('witness'), name);
  await stack.workflow(name, {
    steps: [{ name: 'only', ...step, script: before + witness.script + script }],
  });
  return { name: await stack.startRun(name), witness };
};

export const stepOf = (run: WorkflowRun): StepSummary => {
  const [step] = run.status?.steps ?? [];
  if (step === undefined) throw new Error(`run ${run.metadata.name} lists no step`);
  return step;
};

export const killed = async (process: ServerProcess): Promise<void> => {
  process.signal('SIGKILL');
  await waitFor(`${process.name} to be gone`, () => !process.running());
};

/** Its exit code. */
export const exited = (process: ServerProcess, timeoutMs: number): Promise<number> =>
  waitFor(`${process.name} to exit`, () => process.exitCode(), { timeoutMs, intervalMs: 20 });
