import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { get } from 'node:https';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, inject } from 'vitest';
import { stringify } from 'yaml';
import type { WorkflowRun, WorkflowSpec } from '@outrider/kinds';
import { must, run, type CommandResult } from '../servers/command.ts';
import { connect, type ControlPlane } from '../servers/control-plane.ts';
import { Footprint } from '../servers/footprint.ts';
import {
  bundle,
  startOperator,
  startRunner,
  systemNamespace,
  type Operator,
  type OperatorOptions,
  type RemoteRunner,
} from '../servers/outrider.ts';
import { waitFor } from '../servers/wait.ts';

export interface CliOptions {
  /** Kubeconfig. Default: the administrator's. */
  readonly kubeconfig?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/** A shipped operator on the shared API server, and what a test does with it in a namespace of its own. */
export class Stack {
  readonly namespace = `e2e-${randomBytes(4).toString('hex')}`;
  readonly footprint = Footprint.temporary('e2e');
  readonly controlPlane: ControlPlane = connect(inject('controlPlane'), async () => {});
  #operator: Operator | undefined;

  get operator(): Operator {
    if (!this.#operator) throw new Error('the operator has not been started');
    return this.#operator;
  }

  async start(options: Partial<OperatorOptions>): Promise<void> {
    const { footprint, controlPlane } = this;
    await this.use(await startOperator({ footprint, controlPlane, ...options }));
  }

  /** Works with an operator that the test has started itself. */
  async use(operator: Operator): Promise<void> {
    this.#operator = operator;
    await this.controlPlane.mustKubectl(['create', 'namespace', this.namespace]);
  }

  /** @param program Path of another build. */
  async restartOperator(program?: string): Promise<void> {
    this.#operator = await this.operator.restart(program);
  }

  async stop(): Promise<void> {
    await this.controlPlane.kubectl(['delete', 'namespace', this.namespace, '--wait=false']);
    await this.footprint.end();
  }

  kubectl(...args: string[]): Promise<string> {
    return this.controlPlane.mustKubectl(['-n', this.namespace, ...args]);
  }

  async apply(...documents: readonly object[]): Promise<void> {
    const input = documents.map((document) => stringify(this.#placed(document))).join('---\n');
    await this.controlPlane.mustKubectl(['apply', '--server-side', '-f', '-'], { input });
  }

  workflow(name: string, spec: WorkflowSpec): Promise<void> {
    return this.apply({ apiVersion: 'outrider.dev/v1alpha1', kind: 'Workflow', metadata: { name }, spec });
  }

  /** Creates a run with kubectl and returns its name. */
  async startRun(workflow: string, spec: Partial<WorkflowRun['spec']> = {}): Promise<string> {
    const name = `${workflow}-${randomBytes(3).toString('hex')}`;
    await this.apply({
      apiVersion: 'outrider.dev/v1alpha1',
      kind: 'WorkflowRun',
      metadata: { name },
      spec: { workflowRef: { name: workflow }, ...spec },
    });
    return name;
  }

  async readRun(name: string): Promise<WorkflowRun> {
    return JSON.parse(await this.kubectl('get', 'workflowrun', name, '-o', 'json')) as WorkflowRun;
  }

  /** Waits until the run satisfies `holds`, and returns it. */
  waitForRun(
    name: string,
    what: string,
    holds: (run: WorkflowRun) => boolean,
    timeoutMs = 60_000,
  ): Promise<WorkflowRun> {
    let last: WorkflowRun | undefined;
    return waitFor(
      `run ${name} ${what}`,
      async () => {
        last = await this.readRun(name);
        return holds(last) ? last : undefined;
      },
      { timeoutMs, intervalMs: 150, detail: () => `its status: ${JSON.stringify(last?.status)}` },
    );
  }

  waitForEnd(name: string, timeoutMs?: number): Promise<WorkflowRun> {
    return this.waitForRun(name, 'to end', (run) => run.status?.completionTime !== undefined, timeoutMs);
  }

  #cliEnvironment({ kubeconfig, env }: CliOptions): Record<string, string> {
    const cache = this.footprint.subfolder('cli-cache');
    return { KUBECONFIG: kubeconfig ?? this.controlPlane.adminKubeconfig, XDG_CACHE_HOME: cache, ...env };
  }

  /** The shipped CLI, in this namespace. */
  cli(args: readonly string[], options: CliOptions = {}): Promise<CommandResult> {
    const { timeoutMs = 120_000 } = options;
    const command = [bundle('cli', 'outrider.js'), '-n', this.namespace, ...args];
    return run(process.execPath, command, { env: this.#cliEnvironment(options), timeoutMs });
  }

  async mustCli(...args: string[]): Promise<string> {
    const command = [bundle('cli', 'outrider.js'), '-n', this.namespace, ...args];
    return must(process.execPath, command, { env: this.#cliEnvironment({}) });
  }

  /** GET without a token, the portal's certificate checked against the published CA. */
  async portal(path: string): Promise<unknown> {
    const data = await this.controlPlane.mustKubectl([
      '-n',
      systemNamespace,
      'get',
      'configmap',
      'outrider-portal',
      '-o',
      'json',
    ]);
    const ca = (JSON.parse(data) as { data: Record<string, string> }).data['ca.crt'];
    return new Promise((resolve, reject) => {
      get(`${this.operator.portalUrl}${path}`, { ca }, (response) => {
        json(response).then(resolve, reject);
      }).once('error', reject);
    });
  }

  /** The CLI as a process, for what is followed or raw. */
  spawnCli(args: readonly string[], options: CliOptions = {}): ChildProcess {
    const command = [bundle('cli', 'outrider.js'), '-n', this.namespace, ...args];
    const env = { ...process.env, ...this.#cliEnvironment(options) };
    return spawn(process.execPath, command, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  async registrationToken(...flags: string[]): Promise<string> {
    return (await this.mustCli('runner', 'token', '-o', 'name', ...flags)).trim();
  }

  /** A registered runner that is Online. */
  async startRunner(
    name: string,
    options: Partial<Parameters<typeof startRunner>[0]> = {},
  ): Promise<RemoteRunner> {
    const tags = options.tags ?? [];
    const token =
      options.token ?? (await this.registrationToken(...(tags.length > 0 ? ['--tags', tags.join(',')] : [])));
    const runner = await startRunner({ footprint: this.footprint, name, token, ...options });
    await this.waitForRunner(name, 'Online');
    return runner;
  }

  async waitForRunner(name: string, phase: string, timeoutMs = 30_000): Promise<void> {
    await waitFor(
      `runner ${name} to be ${phase}`,
      async () => (await this.kubectl('get', 'runner', name, '-o', 'jsonpath={.status.phase}')) === phase,
      { timeoutMs, detail: () => this.kubectl('get', 'runners', '-o', 'wide') },
    );
  }

  /** Lets a runner execute on its own machine; its configuration must permit it too (--local-exec). */
  allowLocalExec(name: string): Promise<string> {
    const nodes = ['local-exec', 'ssh-exec', 'kubectl-exec'];
    return this.kubectl(
      'patch',
      'runner',
      name,
      '--type=merge',
      '-p',
      JSON.stringify({ spec: { allow: { nodes } } }),
    );
  }

  #placed(document: object): object {
    const { metadata } = document as { metadata?: object };
    return { ...document, metadata: { namespace: this.namespace, ...metadata } };
  }
}

/** Starts an operator for the calling file and ends everything after it. */
export const useStack = (options: Partial<OperatorOptions> = {}): Stack => {
  const stack = new Stack();
  beforeAll(() => stack.start(options));
  afterAll(() => stack.stop());
  return stack;
};
