import { beforeAll, expect, test } from 'vitest';
import type { Step, WorkflowRun } from '@outrider/kinds';
import { binary } from '../servers/binaries.ts';
import type { RemoteRunner } from '../servers/outrider.ts';
import { startSshd, type Sshd } from '../servers/sshd.ts';
import { waitFor } from '../servers/wait.ts';
import { ProcessSampler } from './process-sampler.ts';
import {
  allowedSecret,
  inlineTarget,
  kubectlSteps,
  newSecret,
  printingScript,
  startVault,
  storeKubeconfig,
  type Vault,
} from './secret-scenarios.ts';
import { filesBelow, namedSecrets, search, tablesBelow, type Place } from './secret-search.ts';
import { useStack } from './stack.ts';

const stack = useStack();
const password = newSecret();
const tokens = { runner: newSecret(), operator: newSecret(), approle: newSecret() };
const wrong = { password: newSecret(), key: newSecret(), kubeconfig: newSecret() };
const ends = new Map<string, WorkflowRun>();
let sshd: Sshd;
let vault: Vault;
let runner: RemoteRunner;
let runtime: string;
let secrets: Readonly<Record<string, string>>;
let sampled: readonly Place[];

const ssh = (name: string, credential: string, script: string): Step => ({
  name,
  node: 'ssh-exec',
  target: inlineTarget(sshd),
  credential,
  script,
});

const vaultStep = (name: keyof typeof tokens, store: string, folder: string): Step =>
  ssh(name, `${store}:${name}`, printingScript(folder, { [`token-of-${name}`]: tokens[name], password }));

/** Each is a workflow of its own, so that all run at the same time and one that fails stops no other. */
const workflows = (folder: string): Readonly<Record<string, readonly Step[]>> => ({
  key: [ssh('key', 'secret:by-key', printingScript(folder, { key: sshd.clientKeyPem }))],
  password: [ssh('password', 'secret:by-password', printingScript(folder, { password }))],
  'vault-by-runner': [vaultStep('runner', 'vault', folder)],
  'vault-by-operator': [vaultStep('operator', 'vault-operator', folder)],
  'vault-by-approle': [vaultStep('approle', 'vault-approle', folder)],
  kubectl: kubectlSteps(stack.namespace),
  'failing-script': [
    ssh(
      'fails',
      'secret:by-password',
      `cat ${folder}/password >&2\nprintf %s "$(cat ${folder}/password)"\nexit 3`,
    ),
  ],
  'wrong-password': [ssh('fails', 'secret:wrong-password', 'true')],
  'wrong-key': [ssh('fails', 'secret:wrong-key', 'true')],
  'wrong-kubeconfig': [
    {
      name: 'fails',
      node: 'kubectl-exec',
      target: { namespace: stack.namespace },
      credential: 'secret:wrong-kubeconfig',
      command: 'kubectl get pods',
    },
  ],
});

const storeSecrets = async (): Promise<void> => {
  vault = await startVault(stack);
  for (const [name, apiToken] of Object.entries(tokens))
    await vault.bao.writeSecret('secret', `ops/${name}`, { username: sshd.user, password, apiToken });
  await stack.apply(
    allowedSecret('by-key', { 'ssh-privatekey': sshd.clientKeyPem }),
    allowedSecret('by-password', { password }),
    allowedSecret('wrong-password', { password: wrong.password }),
    allowedSecret('wrong-key', { 'ssh-privatekey': `-----BEGIN RSA PRIVATE KEY-----\n${wrong.key}\n` }),
    allowedSecret('wrong-kubeconfig', {
      kubeconfig: `users:\n- {name: a, user: {token: ${wrong.kubeconfig}\ncontexts: [`,
    }),
  );
  const token = await storeKubeconfig(stack);
  secrets = {
    key: sshd.clientKeyPem,
    password,
    'token of the kubeconfig': token,
    secret_id: vault.secretId,
    ...Object.fromEntries(Object.entries(tokens).map(([name, value]) => [`apiToken for ${name}`, value])),
    ...Object.fromEntries(Object.entries(wrong).map(([name, value]) => [`wrong ${name}`, value])),
  };
};

beforeAll(async () => {
  sshd = await startSshd({ footprint: stack.footprint, password });
  await storeSecrets();
  runtime = stack.footprint.subfolder('runtime');
  runner = await stack.startRunner('vm', {
    flags: ['--local-exec', '--kubectl', await binary('kubectl')],
    env: { XDG_RUNTIME_DIR: runtime },
  });
  await stack.allowLocalExec('vm');
  const { operator } = stack;
  const sampler = new ProcessSampler(() => [
    operator.process.pid,
    runner.process.pid,
    sshd.pid,
    ...sshd.processes().map(({ pid }) => pid),
  ]);
  try {
    const folder = stack.footprint.subfolder('printed');
    const started: [string, string][] = [];
    for (const [name, steps] of Object.entries(workflows(folder))) {
      await stack.workflow(name, { steps: [...steps] });
      started.push([name, await stack.startRun(name)]);
    }
    for (const [name, run] of started) ends.set(name, await stack.waitForEnd(run));
  } finally {
    sampled = sampler.stop();
  }
});

const endOf = (workflow: string): WorkflowRun => {
  const run = ends.get(workflow);
  if (!run) throw new Error(`${workflow} did not run`);
  return run;
};
const logOf = async (workflow: string, ...flags: string[]): Promise<string> =>
  (await stack.cli(['logs', endOf(workflow).metadata.name, ...flags])).stdout;

const found = (places: readonly Place[]): string[] => search(namedSecrets(secrets), places);
const place = (where: string, content: string): Place => ({ where, content: Buffer.from(content) });

test.each(['key', 'password', 'vault-by-runner', 'vault-by-operator', 'vault-by-approle'])(
  'the attempt with %s logs in, and everything that it prints of its secret is redacted',
  async (workflow) => {
    expect(endOf(workflow).status).toMatchObject({ phase: 'Succeeded' });
    const raw = await logOf(workflow, '--raw');
    expect(raw).toMatch(/^begin\n\[redacted\]/);
    expect(raw).toMatch(/[\n\]]end\n/);
  },
);

test('kubectl is given a token by file, and what it prints of it is redacted', async () => {
  expect(endOf('kubectl').status).toMatchObject({ phase: 'Succeeded' });
  const raw = await logOf('kubectl', '--raw');
  expect(raw).toContain('kind: Secret');
  expect(raw).toContain('[redacted]');
  expect(raw).toMatch(/end\n$/);
});

test.each([
  ['failing-script', 'NonZeroExit'],
  ['wrong-password', 'AuthenticationFailed'],
  ['wrong-key', 'CredentialInvalid'],
  ['wrong-kubeconfig', 'CredentialInvalid'],
])('the attempt with %s fails as %s and quotes nothing', (workflow, reason) => {
  const { status } = endOf(workflow);
  expect(status?.phase).toBe('Failed');
  expect(status?.steps?.[0]).toMatchObject({ reason });
});

test('the search finds every secret where it belongs', async () => {
  const inSecrets = await stack.kubectl('get', 'secrets', '-o', 'json');
  const where = found([place('Secrets', inSecrets), ...filesBelow(stack.footprint.subfolder('printed'))]);
  for (const name of ['key, line 1', 'password, line 1', 'token of the kubeconfig', 'secret_id', 'wrong key'])
    expect(where.join('\n')).toMatch(new RegExp(`^${name}.* as base64 at offset \\d in Secrets`, 'm'));
  expect(where.join('\n')).toMatch(/^apiToken for runner, line 1 as json in .*token-of-runner.json$/m);
});

test('no secret is in any file, log or table of operator and runner', () => {
  const folders = [stack.operator.dataDir, runner.stateDir];
  const files = [...folders, stack.footprint.subfolder('logs')].flatMap(filesBelow);
  const tables = tablesBelow(stack.operator.dataDir, stack.footprint.subfolder('copy'));
  const names = files.map(({ where }) => where).join('\n');
  for (const name of ['ledger.db-wal', 'operator.log', 'runner-vm.log', 'journal/'])
    expect(names).toContain(name);
  expect(tables.map(({ where }) => where).join('\n')).toMatch(/table tasks? of/);
  expect(found([...files, ...tables])).toEqual([]);
});

test('no secret is in what people are shown: logs, runs, objects, Events, metrics', async () => {
  const types = await stack.kubectl('api-resources', '--verbs=list', '--namespaced', '-o', 'name');
  const kinds = types
    .trim()
    .split('\n')
    .filter((name) => name !== 'secrets');
  expect(kinds).toEqual(expect.arrayContaining(['events', 'workflowruns.outrider.dev']));
  const shown = [place('objects', await stack.kubectl('get', kinds.join(','), '-o', 'yaml'))];
  for (const [workflow, { metadata }] of ends) {
    shown.push(place(`logs --raw of ${workflow}`, await logOf(workflow, '--raw')));
    shown.push(place(`logs of ${workflow}`, await logOf(workflow)));
    shown.push(place(`${workflow} described`, await stack.mustCli('describe', metadata.name, '-o', 'json')));
  }
  const metrics = await fetch(`${stack.operator.metricsUrl}/metrics`);
  shown.push(place('metrics', await metrics.text()));
  expect(shown[0]?.content.toString()).toContain('kind: Event');
  expect(found(shown)).toEqual([]);
});

test('no secret is in an argument list or environment, on the runner, beside the operator or on the target', () => {
  const seen = sampled.map(({ content }) => content.toString('latin1').replaceAll('\0', ' ')).join('\n');
  for (const words of ['outrider-operator.js', 'outrider-runner.js', 'KUBECONFIG=', 'sleep 0.3'])
    expect(seen).toContain(words);
  expect(found(sampled)).toEqual([]);
});

test('no file is left in the folder for secrets, nor the folder after the runner has ended', async () => {
  expect(filesBelow(runtime)).toEqual([]);
  runner.process.signal('SIGTERM');
  await waitFor('the runner to end', () => !runner.process.running());
  expect(found(filesBelow(runner.stateDir))).toEqual([]);
});

test('every attempt logs in to the store once, and every token is revoked', () => {
  const calls = vault.bao.audit();
  const first = calls.findIndex(({ path }) => path.endsWith('/login'));
  const inOrder = (method: string, name: string) => [
    `update auth/${method}/login true`,
    `read secret/data/ops/${name} true`,
    'update auth/token/revoke-self true',
  ];
  const wanted = [inOrder('jwt', 'runner'), inOrder('jwt', 'operator'), inOrder('approle', 'approle')];
  const seen = calls.slice(first).map(({ operation, path, ok }) => `${operation} ${path} ${ok}`);
  expect(seen.toSorted()).toEqual(wanted.flat().toSorted());
  expect(seen.at(-1)).toBe('update auth/token/revoke-self true');
});
