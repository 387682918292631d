import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkflowRun } from '@outrider/kinds';
import { killed, startSshTarget, stepOf, type SshTarget } from '../e2e/faults-fixture.ts';
import { Stack } from '../e2e/stack.ts';
import { createWitness, type Witness } from '../e2e/witness.ts';
import { markedProcesses } from '../servers/marked.ts';
import { createNetns, type Netns } from '../servers/netns.ts';
import type { RemoteRunner } from '../servers/outrider.ts';
import { waitFor } from '../servers/wait.ts';
import { createLine, type Line } from './line.ts';
import { descendants } from './processes.ts';

export interface SiteTimes {
  readonly leaseMs: number;
  readonly flags: readonly string[];
}

/** As the operator is shipped. */
export const productionTimes: SiteTimes = { leaseMs: 90_000, flags: [] };

/** Leases of seconds, so that a fault can outlast one; everything else in proportion to the defaults. */
export const shortTimes: SiteTimes = {
  leaseMs: 6000,
  flags: Object.entries({
    lease: '6s',
    'poll-time': '1500ms',
    'offer-time': '3s',
    'unknown-grace': '40s',
    'kill-grace': '8s',
    'settle-time': '4s',
    'online-time': '6s',
    'offline-time': '12s',
    'leader-lease': '6s',
  }).flatMap(([flag, value]) => [`--${flag}`, value]),
};

/** A dozen restarts within a minute are taken for two copies of one machine; that passes when they become fewer. */
const quarantineMs = 90_000;

/** One run of one step, with its witness on the target. */
export interface Subject {
  readonly name: string;
  readonly witness: Witness;
}

/**
 * An operator, a runner in a network namespace, and an sshd: each can be killed or frozen, and each line between them can be
 * cut, while the others go on.
 */
export class Site {
  readonly stack = new Stack();
  readonly times: SiteTimes;
  #netns: Netns | undefined;
  #ssh: SshTarget | undefined;
  #runner: RemoteRunner | undefined;
  #lines: { operator: Line; target: Line } | undefined;
  #count = 0;
  /** Spools that were there before. */
  readonly #foreign = new Set(spools());

  constructor(times: SiteTimes = shortTimes) {
    this.times = times;
  }

  async start(flags: readonly string[] = this.times.flags): Promise<void> {
    const { stack } = this;
    const netns = await createNetns({ footprint: stack.footprint, name: 'outrider-faults' });
    this.#netns = netns;
    await stack.start({ address: netns.hostAddress, flags });
    const ssh = await startSshTarget(stack, { address: netns.hostAddress, maxSessions: 50 });
    this.#ssh = ssh;
    const operator = { host: netns.hostAddress, port: Number(new URL(stack.operator.runnerApiUrl).port) };
    const target = { host: netns.hostAddress, port: ssh.sshd.port };
    await netns.allow([operator, target]);
    this.#lines = { operator: createLine(netns, operator), target: createLine(netns, target) };
    this.#runner = await stack.startRunner('worker', { exec: netns.exec });
  }

  async stop(): Promise<void> {
    await this.stack.stop();
  }

  get ssh(): SshTarget {
    return needed(this.#ssh);
  }
  get netns(): Netns {
    return needed(this.#netns);
  }
  get runner(): RemoteRunner {
    return needed(this.#runner);
  }
  /** From the runner to the operator. */
  get operatorLine(): Line {
    return needed(this.#lines).operator;
  }
  /** From the runner to the target. */
  get targetLine(): Line {
    return needed(this.#lines).target;
  }

  /**
   * Starts a run whose script counts itself, waits at the gate, and does `after`. With `beforeItStarts` the run waits for its
   * workflow, which comes right after that call.
   */
  async startSubject(
    parts: { before?: string; after?: string; beforeItStarts?: () => void } = {},
  ): Promise<Subject> {
    const workflow = `cell-${++this.#count}`;
    const witness = createWitness(this.stack.footprint.subfolder('witness'), workflow);
    const script = `${parts.before ?? ''}${witness.script}${parts.after ?? 'exit 7\n'}`;
    const { target } = this.ssh;
    const define = () =>
      this.stack.workflow(workflow, { steps: [{ name: 'only', node: 'ssh-exec', target, script }] });
    if (parts.beforeItStarts === undefined) await define();
    const name = await this.stack.startRun(workflow);
    if (parts.beforeItStarts !== undefined) {
      await this.stack.waitForRun(name, 'to wait', ({ status }) => status?.phase === 'Queued');
      parts.beforeItStarts();
      await define();
    }
    return { name, witness };
  }

  /** Brings back whatever the cell before left broken, should it have failed half-way. */
  async restore(): Promise<void> {
    await this.operatorLine.heal();
    await this.targetLine.heal();
    process.kill(this.ssh.sshd.pid, 'SIGCONT');
    const { stack, runner } = this;
    if (stack.operator.process.running()) stack.operator.process.signal('SIGCONT');
    else await stack.restartOperator();
    if (runner.process.running()) runner.process.signal('SIGCONT');
    else this.#runner = await runner.restart();
    await this.suspend(false);
    await stack.waitForRunner('worker', 'Online', quarantineMs);
  }

  /** Offers the runner nothing new while it is set. */
  async suspend(suspended: boolean): Promise<void> {
    const patch = JSON.stringify({ spec: { suspend: suspended } });
    await this.stack.kubectl('patch', 'runner', 'worker', '--type=merge', '-p', patch);
  }

  async killRunner(): Promise<void> {
    await killed(this.runner.process);
  }
  async restartRunner(): Promise<void> {
    this.#runner = await this.runner.restart();
    await this.stack.waitForRunner('worker', 'Online', quarantineMs);
  }
  async killOperator(): Promise<void> {
    await killed(this.stack.operator.process);
  }

  /** Frozen for longer than the Lease of the leader, it ends when it finds that out; then it is started again. */
  async thawOperator(): Promise<void> {
    const { process } = this.stack.operator;
    if (process.running()) process.signal('SIGCONT');
    const ends = waitFor('the operator to end', () => !process.running(), { timeoutMs: 3000 });
    const ended = await ends.catch(() => false);
    if (ended) await this.stack.restartOperator();
  }

  /** Processes of sshd that serve sessions: killing them cuts the line as the target's end does. */
  sessions(): number[] {
    return descendants(this.ssh.sshd.pid, 'sshd');
  }
  /** Ends the connections that there are, so that the next step has to connect anew. */
  async dropSessions(): Promise<void> {
    const ended = this.sessions();
    for (const pid of ended) process.kill(pid, 'SIGKILL');
    const left = (): number[] => this.sessions().filter((pid) => ended.includes(pid));
    await waitFor('the sessions to end', () => left().length === 0);
  }

  /** SHA-256 of the log as the portal gives it. */
  async logDigest(run: string): Promise<string> {
    const cli = this.stack.spawnCli(['logs', run, 'only', '--raw']);
    const hash = createHash('sha256');
    cli.stdout?.on('data', (chunk: Buffer) => hash.update(chunk));
    const code = await new Promise<number | null>((resolve) => cli.once('close', resolve));
    if (code !== 0) throw new Error(`outrider logs ${run} ended with ${code}`);
    return hash.digest('hex');
  }

  /** Processes of the run and spools, once those have had their time to go. */
  async leftovers(run: string): Promise<string[]> {
    const left = (): string[] => [
      ...markedProcesses('OUTRIDER_RUN', run).map(({ pid, command }) => `${pid} ${command}`),
      ...spools().filter((spool) => !this.#foreign.has(spool)),
    ];
    await waitFor('everything of the run to be gone', () => left().length === 0, { timeoutMs: 15_000 }).catch(
      () => undefined,
    );
    const found = left();
    // Told once, and not again of every cell that follows.
    for (const spool of spools()) this.#foreign.add(spool);
    return found;
  }

  /** As a table would say it: phase, reason, exit code. */
  resultOf(run: WorkflowRun): string {
    const { phase, reason, exitCode } = stepOf(run);
    return [phase, reason, exitCode].filter((part) => part !== undefined).join(' ');
  }

  /** Makes the file from which a cell's streamed output is compared. */
  copyFile(name: string): string {
    const file = join(this.stack.footprint.subfolder('witness'), `${name}.copy`);
    appendFileSync(file, '');
    return file;
  }
}

/** Private folders of scripts on the target, which is this machine: named by the SHA-256 of their task. */
const spools = (): string[] =>
  existsSync('/dev/shm')
    ? readdirSync('/dev/shm').filter((name) => /^outrider-[0-9a-f]{32}$/.test(name))
    : [];

export const sizeOf = (file: string): number => (existsSync(file) ? statSync(file).size : 0);

const needed = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error('the site has not been started');
  return value;
};
