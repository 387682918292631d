import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { binary } from './binaries.ts';
import { must } from './command.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Footprint } from './footprint.ts';
import { repositoryRoot } from './paths.ts';
import { freePort } from './ports.ts';
import { startProcess, type ServerProcess } from './process.ts';

export const systemNamespace = 'outrider-system';

/** The shipped bundle of a program, as `make build` wrote it. */
export const bundle = (program: 'operator' | 'runner' | 'cli', file: string): string => {
  const path = join(repositoryRoot, 'dist', program, file);
  if (!existsSync(path)) throw new Error(`${path} is missing: run \`make build\``);
  return path;
};

/** Operators of earlier test files had ledgers of their own: a new one is a first start, and not one that lost its ledger. */
const forgetLedger = (controlPlane: ControlPlane): Promise<string> =>
  controlPlane.mustKubectl([
    '-n',
    systemNamespace,
    'delete',
    'configmap',
    'outrider-ledger',
    '--ignore-not-found',
  ]);

/** Installs the chart: kinds, policies and least-privilege roles. Can be called again. */
export async function installChart(
  footprint: Footprint,
  controlPlane: ControlPlane,
  values: Readonly<Record<string, string>>,
): Promise<void> {
  const home = footprint.subfolder('helm');
  const settings = Object.entries(values).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
  await must(
    await binary('helm'),
    [
      'upgrade',
      '--install',
      'outrider',
      join(repositoryRoot, 'charts', 'outrider'),
      '--namespace',
      systemNamespace,
      '--create-namespace',
      ...settings,
    ],
    {
      env: {
        KUBECONFIG: controlPlane.adminKubeconfig,
        HELM_CACHE_HOME: home,
        HELM_CONFIG_HOME: home,
        HELM_DATA_HOME: home,
      },
    },
  );
  await forgetLedger(controlPlane);
}

export interface OperatorOptions {
  readonly footprint: Footprint;
  readonly controlPlane: ControlPlane;
  /** Address under which runners and people reach it. Default: 127.0.0.1. */
  readonly address?: string;
  /** Further flags, such as --unknown-grace. */
  readonly flags?: readonly string[];
  /** postgres://…, which goes by environment. Default: SQLite in the data folder. */
  readonly ledgerUrl?: string;
  /** Path of another build. Default: the shipped bundle. */
  readonly program?: string;
}

/** A running operator: the shipped bundle under its own ServiceAccount's token, outside the cluster. */
export interface Operator {
  readonly portalUrl: string;
  readonly runnerApiUrl: string;
  readonly metricsUrl: string;
  readonly dataDir: string;
  readonly kubeconfig: string;
  readonly process: ServerProcess;
  /** Starts it again with the same data and ports, after `process` has ended; perhaps with another build. */
  restart(program?: string): Promise<Operator>;
}

interface OperatorPlace {
  readonly name: string;
  /** In the Lease. A replica of several is another one after each start, as a pod is. */
  readonly identity: string;
  readonly address: string;
  readonly ports: { readonly runnerApi: number; readonly portal: number; readonly metrics: number };
  readonly dataDir: string;
  readonly kubeconfig: string;
  /** What stands before the replicas; the replica itself by default. */
  readonly front?: { readonly portalUrl: string; readonly runnerApiUrl: string };
}

const flagsOf = (flags: Readonly<Record<string, string | number>>): string[] =>
  Object.entries(flags).flatMap(([name, value]) => [`--${name}`, `${value}`]);

const isReady = async (url: string): Promise<boolean> => (await fetch(`${url}/readyz`)).ok;

/** `operator-1.2` after `operator-1.1`. */
const nextIdentity = (identity: string): string =>
  identity.replace(/\d+$/, (start) => `${Number(start) + 1}`);

async function launch(options: OperatorOptions, place: OperatorPlace): Promise<Operator> {
  const { name, address, ports, dataDir, kubeconfig, front } = place;
  const portalUrl = front?.portalUrl ?? `https://${address}:${ports.portal}`;
  const runnerApiUrl = front?.runnerApiUrl ?? `https://${address}:${ports.runnerApi}`;
  const metricsUrl = `http://127.0.0.1:${ports.metrics}`;
  const started = await startProcess(options.footprint, {
    name,
    command: process.execPath,
    args: [
      options.program ?? bundle('operator', 'outrider-operator.js'),
      ...flagsOf({
        namespace: systemNamespace,
        identity: place.identity,
        'data-dir': dataDir,
        host: '0.0.0.0',
        'tls-names': `localhost,127.0.0.1,${address}`,
        'runner-api-port': ports.runnerApi,
        'runner-api-url': runnerApiUrl,
        'portal-port': ports.portal,
        'portal-url': portalUrl,
        'metrics-port': ports.metrics,
      }),
      ...(options.flags ?? []),
    ],
    env: {
      KUBECONFIG: kubeconfig,
      ...(options.ledgerUrl === undefined ? {} : { OUTRIDER_LEDGER_URL: options.ledgerUrl }),
    },
    ready: () => isReady(metricsUrl),
  });
  return {
    portalUrl,
    runnerApiUrl,
    metricsUrl,
    dataDir,
    kubeconfig,
    process: started,
    restart: (program = options.program) =>
      launch(
        { ...options, ...(program === undefined ? {} : { program }) },
        { ...place, ...(front ? { identity: nextIdentity(place.identity) } : {}) },
      ),
  };
}

const choosePorts = async (address: string): Promise<OperatorPlace['ports']> => ({
  runnerApi: await freePort(address),
  portal: await freePort(address),
  metrics: await freePort(),
});

const makeDataDir = (footprint: Footprint, name: string): string => {
  const dataDir = join(footprint.subfolder(name), 'data');
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  return dataDir;
};

const operatorKubeconfig = (controlPlane: ControlPlane): Promise<string> =>
  controlPlane.serviceAccountKubeconfig({ namespace: systemNamespace, name: 'outrider-operator' });

/** Installs the chart and starts the operator; ready when it leads and serves. */
export async function startOperator(options: OperatorOptions): Promise<Operator> {
  const { footprint, controlPlane, address = '127.0.0.1' } = options;
  const ports = await choosePorts(address);
  await installChart(footprint, controlPlane, {
    'portal.url': `https://${address}:${ports.portal}`,
    'runnerApi.url': `https://${address}:${ports.runnerApi}`,
  });
  const kubeconfig = await operatorKubeconfig(controlPlane);
  const dataDir = makeDataDir(footprint, 'operator');
  return launch(options, {
    name: 'operator',
    identity: 'operator-0',
    address,
    ports,
    dataDir,
    kubeconfig,
  });
}

/** Starts one of several operators behind a front that all of them name; the chart is installed already. */
export async function startReplica(
  options: OperatorOptions,
  replica: { readonly name: string; readonly front: NonNullable<OperatorPlace['front']> },
): Promise<{ readonly operator: Operator; readonly ports: OperatorPlace['ports'] }> {
  const { footprint, controlPlane, address = '127.0.0.1' } = options;
  const ports = await choosePorts(address);
  const kubeconfig = await operatorKubeconfig(controlPlane);
  const dataDir = makeDataDir(footprint, replica.name);
  const operator = await launch(options, {
    ...replica,
    identity: `${replica.name}.1`,
    address,
    ports,
    dataDir,
    kubeconfig,
  });
  return { operator, ports };
}

export interface RunnerOptions {
  readonly footprint: Footprint;
  readonly name: string;
  /** Registration token, as `outrider runner token` gives it; unused once the state folder holds a key. */
  readonly token: string;
  readonly tags?: readonly string[];
  /** Put before the command line: a network namespace. */
  readonly exec?: readonly string[];
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Path of another build. Default: the shipped bundle. */
  readonly program?: string;
}

/** A running runner: the shipped bundle, with a state folder of its own that outlives restarts. */
export interface RemoteRunner {
  readonly stateDir: string;
  readonly process: ServerProcess;
  /** Perhaps with another build. */
  restart(program?: string): Promise<RemoteRunner>;
}

export async function startRunner(options: RunnerOptions): Promise<RemoteRunner> {
  const stateDir = options.footprint.subfolder(`runner-${options.name}`);
  const command = [
    ...(options.exec ?? []),
    process.execPath,
    options.program ?? bundle('runner', 'outrider-runner.js'),
    'run',
    '--state-dir',
    stateDir,
    '--name',
    options.name,
    ...(options.tags ? ['--tags', options.tags.join(',')] : []),
    ...(options.flags ?? []),
  ];
  const started = await startProcess(options.footprint, {
    name: `runner-${options.name}`,
    command: command[0] ?? process.execPath,
    args: command.slice(1),
    env: { OUTRIDER_RUNNER_TOKEN: options.token, ...options.env },
  });
  const restart = (program = options.program): Promise<RemoteRunner> =>
    startRunner({ ...options, ...(program === undefined ? {} : { program }) });
  return { stateDir, process: started, restart };
}
