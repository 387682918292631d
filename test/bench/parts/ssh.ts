import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createDelayMeter } from '@outrider/operator/metrics/event-loop';
import { startSshd, type Sshd } from '../../servers/sshd.ts';
import { residentMb } from '../figures.ts';
import type { Bench } from '../harness/bench.ts';
import { processorMs } from '../harness/process-usage.ts';
import { atLeast, atMost, mb, ms, times, type Section } from '../harness/section.ts';
import { apiVersion, startShipped, type Shipped } from '../harness/shipped.ts';
import type { SshLoopHandlers } from '../programs/ssh-loop.ts';
import { timeAnsible } from './ansible.ts';
import { runOf } from './idle.ts';

const namespace = 'bench-ssh';
const parallel = 50;
const heldSeconds = 15;

/** One key exchange, one cipher and one kind of key for all clients; every connection is let in at once. */
const serverConfig = [
  'KexAlgorithms curve25519-sha256',
  'Ciphers aes128-gcm@openssh.com',
  'HostKeyAlgorithms ssh-ed25519',
  'PubkeyAcceptedAlgorithms ssh-ed25519',
  'MaxStartups 4000',
  'LoginGraceTime 120',
];

/** Distinct loopback addresses, none of which anything else uses. */
const addresses = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `127.77.${i >> 8}.${i & 255}`);

const applySite = async (shipped: Shipped, sshd: Sshd, hosts: readonly string[]): Promise<void> => {
  const meta = (name: string, labels: Readonly<Record<string, string>> = {}) => ({ name, namespace, labels });
  await shipped.apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: meta('target', { 'outrider.dev/allow': 'true' }),
    stringData: { username: sshd.user, 'ssh-privatekey': readFileSync(sshd.clientKeyFile, 'utf8') },
  });
  const target = (host: string, index: number) => ({
    apiVersion,
    kind: 'Target',
    metadata: meta(`t-${index}`, index < parallel ? { bench: 'all', held: 'first' } : { bench: 'all' }),
    spec: { type: 'SSH', host, port: sshd.port, hostKey: sshd.hostKeyFingerprint },
  });
  await shipped.apply(...hosts.map(target));
  const workflow = (name: string, step: object) => ({
    apiVersion,
    kind: 'Workflow',
    metadata: meta(name),
    spec: { steps: [{ name: 'act', node: 'ssh-exec', credential: 'secret:target', ...step }] },
  });
  const all = { matchLabels: { bench: 'all' } };
  await shipped.apply(
    workflow('echo', { script: 'echo hello\n', targets: all }),
    workflow('hold', { script: `sleep ${heldSeconds}\n`, targets: { matchLabels: { held: 'first' } } }),
  );
};

/** One process waits: to look again and again would take processor time from what is measured. */
const runToEnd = async (shipped: Shipped, workflow: string, name: string): Promise<void> => {
  const { controlPlane } = shipped;
  await shipped.apply(runOf(namespace, workflow, name));
  const run = ['-n', namespace, `workflowrun/${name}`];
  const ended = '--for=jsonpath={.status.completionTime}';
  await controlPlane.mustKubectl(['wait', ...run, ended, '--timeout=300s'], { timeoutMs: 310_000 });
  const phase = await controlPlane.mustKubectl(['get', ...run, '-o', 'jsonpath={.status.phase}']);
  if (phase !== 'Succeeded') throw new Error(`run ${name} ended as ${phase}`);
};

/** The most memory that the runner had while so many sessions stood. */
const measureHeld = async (shipped: Shipped): Promise<number> => {
  let most = 0;
  const looking = setInterval(() => {
    most = Math.max(most, residentMb(shipped.runner.process.pid));
  }, 100);
  try {
    await runToEnd(shipped, 'hold', 'hold-1');
  } finally {
    clearInterval(looking);
  }
  return most;
};

/** Milliseconds from the freezing of a run to its end, and how many of its attempts overlapped, by the ledger's file. */
const readRun = (dataDir: string, name: string): { took: number; attempts: number } => {
  const database = new DatabaseSync(join(dataDir, 'ledger.db'), { readOnly: true });
  const row = database
    .prepare(
      "select r.finished_at - r.created_at as took, count(t.id) as attempts from runs r join tasks t on t.run_uid = r.uid where r.name = ? and t.state = 'Succeeded'",
    )
    .get(name) as { took: number; attempts: number };
  database.close();
  return row;
};

export const measureSsh = async ({ footprint, launcher, scale }: Bench): Promise<Section> => {
  const hosts = addresses(Math.max(parallel, Math.round(1000 * scale)));
  const sshd = await startSshd({ footprint, address: '0.0.0.0', config: serverConfig });
  const shipped = await startShipped({
    footprint,
    namespace,
    runnerFlags: ['--capacity', `${parallel}`],
    nodes: ['ssh-exec'],
  });
  await applySite(shipped, sshd, hosts);
  const heldMb = await measureHeld(shipped);

  const loop = await launcher.start<SshLoopHandlers>('ssh-loop', { name: 'ssh-loop' });
  const options = {
    hosts,
    port: sshd.port,
    user: sshd.user,
    privateKey: sshd.clientKeyPem,
    hostKey: sshd.hostKeyFingerprint,
    parallel,
  };
  await loop.call('loop', { ...options, hosts: hosts.slice(0, parallel) });
  const loopCpu = processorMs(loop.pid);
  const loopMs = await loop.call('loop', options);
  const loopCpuMs = processorMs(loop.pid) - loopCpu;
  const pids = { runner: shipped.runner.process.pid, operator: shipped.operator.process.pid };
  const before = { runner: processorMs(pids.runner), operator: processorMs(pids.operator) };
  const beside = createDelayMeter();
  await runToEnd(shipped, 'echo', 'echo-1');
  const besideDelay = beside.p99();
  beside.stop();
  const runnerCpuMs = processorMs(pids.runner) - before.runner;
  const operatorCpuMs = processorMs(pids.operator) - before.operator;
  const peakMb = residentMb(pids.runner);
  const loopDelay = (await shipped.metric('outrider_event_loop_delay_p99_seconds')) * 1000;
  const ansibleMs = await timeAnsible({ folder: footprint.folder, sshd, hosts, forks: parallel });
  await shipped.operator.process.stop();
  const { took, attempts } = readRun(shipped.operator.dataDir, 'echo-1');
  if (attempts !== hosts.length) throw new Error(`${attempts} of ${hosts.length} attempts succeeded`);
  const each = (cpuMs: number): string => `${(cpuMs / hosts.length).toFixed(1)} ms`;
  return {
    title: `${hosts.length.toLocaleString('en')} executions over SSH`,
    text: `One run of one step on ${hosts.length} Targets at distinct loopback addresses, ${parallel} at a time, each over a connection of its own to one OpenSSH server with one set of algorithms, by the shipped operator and runner; against a loop of \`ssh2\` that only connects and executes, and \`ansible -m raw -f ${parallel}\` with host key checking and without ControlMaster.`,
    rows: [
      { figure: 'bare `ssh2` loop', value: ms(loopMs) },
      { figure: '`ansible`', value: ms(ansibleMs) },
      { figure: 'the run, from its freezing to its end', value: ms(took) },
      atMost('the run as a ratio to the loop', took / loopMs, { goal: 1.2, show: times }),
      atLeast('`ansible` as a ratio to the run', ansibleMs / took, { goal: 2, show: times }),
      { figure: 'processor time an execution: loop', value: each(loopCpuMs) },
      { figure: 'processor time an execution: runner', value: each(runnerCpuMs) },
      { figure: 'processor time an execution: operator', value: each(operatorCpuMs) },
      atMost(`RSS of the runner with ${parallel} sessions at once`, heldMb, { goal: 150, show: mb }),
      { figure: 'RSS of the runner after the run', value: mb(peakMb) },
      atMost('event loop delay of the operator, p99', loopDelay, { goal: 50, show: ms }),
      { figure: 'the same of a process beside it that does nothing', value: ms(besideDelay) },
    ],
    notes:
      'The run does more than the loop: a credential is fetched, host key and epoch are checked, the script is started under a supervisor that outlives the connection, output is journalled, redacted and stored, and each attempt is recorded in the ledger four times.',
  };
};
