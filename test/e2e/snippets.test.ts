import { hostname } from 'node:os';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { parse } from 'yaml';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Step, WorkflowRun } from '@outrider/kinds';
import { deployPaymentService, paymentsKubeconfig } from '../demo/payment-service.ts';
import { binary } from '../servers/binaries.ts';
import { reasonWithoutNode, startCluster, type Cluster } from '../servers/cluster.ts';
import { Footprint } from '../servers/footprint.ts';
import { repositoryRoot } from '../servers/paths.ts';
import { startSshd, type Sshd } from '../servers/sshd.ts';
import { waitFor } from '../servers/wait.ts';
import { createWitness } from './witness.ts';
import { allowedSecret, startVault } from './secret-scenarios.ts';
import { useStack } from './stack.ts';

const isRoot = process.getuid?.() === 0;
const withoutNode = await reasonWithoutNode();
const stack = useStack();
let sshd: Sshd;

/** A snippet as it was written. */
const snippet = (file: string): Step =>
  parse(readFileSync(join(repositoryRoot, 'test', 'cases', file), 'utf8')) as Step;

/** The snippet with the one name that must exist put in: the server's. */
const sshSnippet = (): Step => {
  const step = snippet('seed-ssh.yaml');
  return { ...step, target: { ...step.target, host: sshd.host, port: sshd.port } };
};

const beside = ({ target, ...step }: Step, credential = target?.credential): Step => {
  const { credential: _, ...rest } = target ?? {};
  return { ...step, target: rest, ...(credential === undefined ? {} : { credential }) };
};

const runToEnd = async (name: string, step: Step): Promise<{ run: WorkflowRun; output: string }> => {
  await stack.workflow(name, { steps: [step] });
  const run = await stack.waitForEnd(await stack.startRun(name), 120_000);
  const { stdout } = await stack.cli(['logs', run.metadata.name]);
  return { run, output: stdout };
};

beforeAll(async () => {
  sshd = await startSshd({ footprint: stack.footprint, ...(isRoot ? { hostname: 'prod-server' } : {}) });
  const { bao } = await startVault(stack);
  const key = { username: sshd.user, 'ssh-privatekey': sshd.clientKeyPem };
  await bao.writeSecret('secret', 'ops/prod-server-ssh-key', key);
  const knownHosts = join(stack.footprint.subfolder('site'), 'known_hosts');
  writeFileSync(knownHosts, sshd.knownHosts);
  await stack.startRunner('prod-runner-1', {
    flags: ['--known-hosts-file', knownHosts, '--kubectl', await binary('kubectl')],
  });
});

describe('the ssh-exec snippet', () => {
  test('is the one that people know', () => {
    expect(snippet('seed-ssh.yaml')).toMatchObject({
      node: 'ssh-exec',
      target: { port: 22, credential: 'vault:prod-server-ssh-key' },
      timeout: '5m',
    });
  });

  test.each([
    ['inside the target', (step: Step) => step],
    ['beside the target', (step: Step) => beside(step)],
  ])('runs on a real OpenSSH server with its credential %s', async (where, place) => {
    const { run, output } = await runToEnd(`ssh-${where.split(' ')[0]}`, place(sshSnippet()));
    expect(run.status).toMatchObject({ phase: 'Succeeded', steps: [{ phase: 'Succeeded', exitCode: 0 }] });
    expect(output).toContain(`Server: ${isRoot ? 'prod-server' : hostname()}\n`);
    // Of systemctl, which has nothing to ask here: it fails without failing the script.
    expect(output).toMatch(/systemctl|System has not been booted|payment-service/);
  });

  test('shows its lines while it runs', async () => {
    const witness = createWitness(stack.footprint.subfolder('witness'), 'live');
    const step = sshSnippet();
    await stack.workflow('live', { steps: [{ ...step, script: `${step.script}${witness.script}` }] });
    const run = await stack.startRun('live');
    const child = stack.spawnCli(['logs', run, '-f']);
    let output = '';
    child.stdout?.on('data', (bytes: Buffer) => (output += bytes.toString()));
    const closed = new Promise((resolve) => child.once('close', resolve));
    await waitFor('the last line before the gate', () => output.includes('begun'));
    expect(witness.ends()).toBe(0);
    expect(output).toMatch(/Server: [^]*begun/);
    witness.open();
    expect(await closed).toBe(0);
    expect(output).toMatch(/begun\n[^]*ended\n/);
  });
});

/** Each phase is held until it has been seen: a run of 0.1 s may pass through one of them unwritten. */
test('kubectl get workflowruns -w shows the phases in order', async () => {
  const witness = createWitness(stack.footprint.subfolder('phases'), 'phases');
  const run = await stack.startRun('phases');
  const args = ['-n', stack.namespace, 'get', 'workflowruns', '-w'];
  const child = spawn(await binary('kubectl'), args, {
    env: { ...process.env, KUBECONFIG: stack.controlPlane.adminKubeconfig },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let table = '';
  child.stdout.on('data', (bytes: Buffer) => (table += bytes.toString()));
  const phases = (): string[] => {
    const rows = table.split('\n').filter((line) => line.startsWith(`${run} `));
    const shown = rows.map((row) => / (Queued|Running|Succeeded|Failed) /.exec(row)?.[1] ?? '');
    return shown.filter((phase, index) => phase !== '' && phase !== shown[index - 1]);
  };
  const shows = (phase: string): Promise<boolean> =>
    waitFor(`the phase ${phase}`, () => phases().includes(phase), { detail: () => table });
  try {
    await shows('Queued');
    await stack.workflow('phases', { steps: [{ ...sshSnippet(), script: witness.script }] });
    await shows('Running');
    witness.open();
    await shows('Succeeded');
    expect(phases()).toEqual(['Queued', 'Running', 'Succeeded']);
  } finally {
    child.kill();
  }
});

/** Pods need Linux as root; elsewhere `make test` names what is left out. */
describe.runIf(withoutNode === '')('the kubectl-exec snippet', () => {
  const footprint = Footprint.temporary('snippets');
  let cluster: Cluster;
  let generation = 1;

  beforeAll(async () => {
    cluster = await startCluster(footprint);
    await deployPaymentService(cluster.controlPlane);
    const kubeconfig = await paymentsKubeconfig(cluster.controlPlane);
    await stack.apply(allowedSecret('prod-eks', { kubeconfig }), {
      apiVersion: 'outrider.dev/v1alpha1',
      kind: 'Target',
      metadata: { name: 'prod-eks' },
      spec: { type: 'Kubernetes', context: 'prod-eks', namespace: 'payments', credential: 'secret:prod-eks' },
    });
  });
  afterAll(() => footprint.end());

  test.each([
    ['of a Target by the name of its context', (step: Step) => step],
    [
      'inside the target',
      (step: Step) => ({ ...step, target: { ...step.target, credential: 'secret:prod-eks' } }),
    ],
    ['beside the target', (step: Step) => beside(step, 'secret:prod-eks')],
  ])('restarts a real Deployment with the credential %s', async (where, place) => {
    const step = snippet('seed-kubectl.yaml');
    const { run, output } = await runToEnd(`kubectl-${where.split(' ')[0]}`, place(step));
    expect(run.status, output).toMatchObject({ phase: 'Succeeded', steps: [{ exitCode: 0 }] });
    expect(output).toContain('deployment.apps/payment-service restarted\n');
    expect(output).toContain('deployment "payment-service" successfully rolled out\n');
    const get = [
      '-n',
      'payments',
      'get',
      'deployment',
      'payment-service',
      '-o',
      'jsonpath={.metadata.generation}',
    ];
    generation += 1;
    expect(await cluster.controlPlane.mustKubectl(get)).toBe(`${generation}`);
  });
});
