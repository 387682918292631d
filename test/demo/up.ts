import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { binary } from '../servers/binaries.ts';
import { startCluster, type Cluster } from '../servers/cluster.ts';
import { must, run } from '../servers/command.ts';
import { Footprint } from '../servers/footprint.ts';
import { startOpenBao, type OpenBao } from '../servers/openbao.ts';
import { bundle, startOperator, startRunner, type Operator, type RemoteRunner } from '../servers/outrider.ts';
import { repositoryRoot, stateFolder } from '../servers/paths.ts';
import { deployPaymentService, storeKubeconfig } from './payment-service.ts';
import { heading, stage } from './progress.ts';
import { createClosedSite, createOpenSite, installSitePackages, vaultHost, type Site } from './site.ts';
import { configureVault, storeServerKey } from './vault.ts';
import { applyExamples, applySshStep } from './workflow.ts';

const vaultPort = 8200;
const runName = 'restart-payment-service-1';

interface Demo {
  readonly footprint: Footprint;
  readonly cluster: Cluster;
  readonly site: Site;
  readonly bao: OpenBao;
  readonly operator: Operator;
}

const cli = (
  demo: Pick<Demo, 'cluster' | 'footprint'>,
  ...args: string[]
): readonly [string[], Record<string, string>] => [
  [bundle('cli', 'outrider.js'), ...args],
  {
    KUBECONFIG: demo.cluster.controlPlane.adminKubeconfig,
    XDG_CACHE_HOME: demo.footprint.subfolder('cache'),
  },
];

const startServers = async (footprint: Footprint): Promise<Demo> => {
  const cluster = await stage('Kubernetes, with a node where this machine allows one', () =>
    startCluster(footprint),
  );
  const closed = cluster.node !== undefined;
  const site = await stage(
    closed ? 'a closed network with the "prod server" in it (OpenSSH)' : 'an OpenSSH server of your own',
    () => (closed ? createClosedSite(footprint) : createOpenSite(footprint)),
  );
  const place = closed ? { address: site.hostAddress, port: vaultPort, hosts: [vaultHost] } : {};
  const bao = await stage('OpenBao (speaks the API of Vault)', () => startOpenBao({ footprint, ...place }));
  const operator = await stage('the chart and the operator, under its own ServiceAccount', () =>
    startOperator({ footprint, controlPlane: cluster.controlPlane, address: site.hostAddress }),
  );
  return { footprint, cluster, site, bao, operator };
};

/** From the site only these four can be reached: operator, Vault, sshd (which is inside), API server. */
const closeSite = async ({ site, bao, operator, cluster }: Demo): Promise<void> => {
  const urls = [operator.runnerApiUrl, bao.url, cluster.controlPlane.url].map((url) => new URL(url));
  await site.netns?.allow([
    ...urls.map((url) => ({ host: url.hostname, port: Number(url.port) })),
    { host: site.sshd.host, port: site.sshd.port },
  ]);
};

const applyResources = async (demo: Demo): Promise<void> => {
  const { cluster, bao, site } = demo;
  const { controlPlane } = cluster;
  const audience = cluster.node ? `https://${vaultHost}:${vaultPort}` : bao.url;
  await configureVault(bao, controlPlane, audience);
  await storeServerKey(bao, site.sshd);
  if (!cluster.node) return applySshStep(controlPlane, bao, site.sshd);
  await controlPlane.mustKubectl(['apply', '-f', join(repositoryRoot, 'examples', '00-namespace.yaml')]);
  await storeKubeconfig(controlPlane);
  await applyExamples(controlPlane, bao);
};

const startSiteRunner = async (demo: Demo): Promise<RemoteRunner> => {
  const { footprint, site } = demo;
  const [args, env] = cli(
    demo,
    'runner',
    'token',
    '-n',
    'operations',
    '--tags',
    'production,us-east-1',
    '-o',
    'name',
  );
  const token = (await must(process.execPath, args, { env })).trim();
  const knownHosts = join(footprint.subfolder('site'), 'known_hosts');
  const [, ...key] = site.sshd.knownHosts.trim().split(' ');
  const host = site.sshd.port === 22 ? site.sshHost : `[${site.sshHost}]:${site.sshd.port}`;
  writeFileSync(knownHosts, `${host} ${key.join(' ')}\n`);
  return startRunner({
    footprint,
    name: 'prod-runner-1',
    token,
    tags: ['production', 'us-east-1'],
    exec: site.exec,
    flags: ['--known-hosts-file', knownHosts, '--kubectl', await binary('kubectl')],
  });
};

const show = async (demo: Demo, title: string, ...args: string[]): Promise<void> => {
  const [command, env] = cli(demo, ...args);
  heading(title);
  const { stdout, stderr } = await run(process.execPath, command, { env });
  console.log(`${stdout}${stderr}`.trimEnd());
};

const explain = async (demo: Demo): Promise<void> => {
  const { cluster, footprint } = demo;
  const kubectl = await binary('kubectl');
  heading('It keeps running. To go on:');
  console.log(`  export KUBECONFIG=${cluster.controlPlane.adminKubeconfig}
  export PATH=${dirname(kubectl)}:${join(repositoryRoot, 'cli', 'bin')}:$PATH
  kubectl -n operations get outrider
  kubectl outrider -n operations run restart-payment-service --follow
  kubectl outrider -n operations logs ${runName} inspect
  kubectl outrider -n operations runners
  kubectl explain workflow.spec.steps

  Logs of the servers are in ${join(footprint.folder, 'logs')}. End it all with: make demo-down`);
  if (cluster.withoutNode !== '')
    console.log(
      `\nLeft out here: the kubectl step, the Deployment and the closed network, because ${cluster.withoutNode}.`,
    );
};

const follow = (demo: Demo): number => {
  const [args, env] = cli(demo, 'logs', '-n', 'operations', runName, '--follow');
  heading(`kubectl outrider -n operations logs ${runName} --follow`);
  const { status } = spawnSync(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: 'inherit',
    timeout: 300_000,
  });
  return status ?? 1;
};

const main = async (): Promise<number> => {
  console.log(
    'Outrider demo: about 20 seconds; the first time 12 minutes more, to build Kubernetes from source.\n',
  );
  const folder = stateFolder('demo');
  const previous = Footprint.load(folder);
  if (previous) await stage('ending the demo that was running', () => previous.end());
  await installSitePackages();
  const footprint = Footprint.lasting(folder);
  try {
    const demo = await startServers(footprint);
    await closeSite(demo);
    if (demo.cluster.node)
      await stage('the Deployment payment-service', () => deployPaymentService(demo.cluster.controlPlane));
    await stage('examples/, applied with kubectl', () => applyResources(demo));
    await stage('the runner prod-runner-1, which only dials out', () => startSiteRunner(demo));
    const code = follow(demo);
    await show(demo, 'kubectl outrider describe', 'describe', '-n', 'operations', runName);
    await show(demo, 'kubectl outrider runners', 'runners', '-n', 'operations');
    const table = await demo.cluster.controlPlane.mustKubectl([
      '-n',
      'operations',
      'get',
      'workflowruns,runners',
    ]);
    heading('kubectl -n operations get workflowruns,runners');
    console.log(table.trimEnd());
    await explain(demo);
    return code;
  } catch (error) {
    console.error(
      `\n${error instanceof Error ? error.message : String(error)}\nWhat was started is ended again.`,
    );
    await footprint.end();
    return 1;
  }
};

process.exitCode = await main();
