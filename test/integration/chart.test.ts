import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { binary } from '../servers/binaries.ts';
import { run, type CommandResult } from '../servers/command.ts';
import { startControlPlane, type ControlPlane } from '../servers/control-plane.ts';
import { repositoryRoot } from '../servers/paths.ts';
import { waitFor } from '../servers/wait.ts';

/** A namespace other than the default one, so that what depends on it shows. */
const release = 'automation';
const chart = join(repositoryRoot, 'charts', 'outrider');
const operator = `system:serviceaccount:${release}:outrider-operator`;

let controlPlane: ControlPlane;
const helm = async (...args: readonly string[]): Promise<CommandResult> =>
  run(await binary('helm'), args, {
    env: {
      KUBECONFIG: controlPlane.adminKubeconfig,
      ...Object.fromEntries(
        ['CACHE', 'CONFIG', 'DATA'].map((kind) => [`HELM_${kind}_HOME`, join(controlPlane.dataDir, 'helm')]),
      ),
    },
  });
const mustHelm = async (...args: readonly string[]): Promise<string> => {
  const { code, stdout, stderr } = await helm(...args);
  expect(stderr).not.toContain('Error');
  expect(code).toBe(0);
  return stdout;
};
const upgrade = (...args: readonly string[]) =>
  helm('upgrade', '--install', 'outrider', chart, '--namespace', release, '--create-namespace', ...args);

beforeAll(async () => {
  controlPlane = await startControlPlane({ controllers: true });
  const installed = await upgrade('--set', 'portal.url=https://outrider.example.com');
  expect(installed.stderr).not.toContain('Error');
  expect(installed.stdout).toContain('STATUS: deployed');
  await controlPlane.mustKubectl(['create', 'namespace', 'payments']);
});
afterAll(async () => {
  await controlPlane.stop();
});

const words = (command: string): readonly string[] => command.split(' ');
const can = async (user: string, question: string): Promise<string> =>
  (await controlPlane.kubectl([...words(`auth can-i ${question}`), '--as', user])).stdout.trim();

describe("the operator's ServiceAccount", () => {
  test.each([
    'watch workflows.outrider.dev --all-namespaces',
    'list logins.outrider.dev --all-namespaces',
    'patch workflowruns.outrider.dev --subresource=status -n payments',
    'watch rundecisions.outrider.dev --all-namespaces',
    'patch rundecisions.outrider.dev --subresource=status -n payments',
    'create runners.outrider.dev -n payments',
    `delete logins.outrider.dev -n ${release}`,
    'create events.events.k8s.io -n payments',
    'create subjectaccessreviews.authorization.k8s.io',
    'get secrets/prod-server -n payments',
    `get secrets/outrider-ca -n ${release}`,
    `patch secrets/outrider-ca -n ${release}`,
    `create secrets -n ${release}`,
    `patch configmaps/outrider-portal -n ${release}`,
    `get configmaps/outrider-ledger -n ${release}`,
    `patch configmaps/outrider-ledger -n ${release}`,
    `create configmaps -n ${release}`,
    `update leases.coordination.k8s.io -n ${release}`,
  ])('may %s', async (question) => {
    expect(await can(operator, question)).toBe('yes');
  });

  test.each([
    'list secrets -n payments',
    `watch secrets -n ${release}`,
    'create secrets -n payments',
    `patch secrets/other -n ${release}`,
    'patch workflows.outrider.dev -n payments',
    'create workflowruns.outrider.dev -n payments',
    'delete workflowruns.outrider.dev -n payments',
    'create rundecisions.outrider.dev -n payments',
    'patch runners.outrider.dev -n payments',
    `get configmaps/other -n ${release}`,
    'update leases.coordination.k8s.io -n payments',
    `create pods -n ${release}`,
    `create serviceaccounts --subresource=token -n ${release}`,
  ])('may not %s', async (question) => {
    expect(await can(operator, question)).toBe('no');
  });

  test('is exempt from the policy on runs, in the namespace of the release', async () => {
    for (const namespace of [release, 'payments']) {
      await controlPlane.kubectl(['create', 'serviceaccount', 'outrider-operator', '-n', namespace]);
    }
    await controlPlane.mustKubectl(
      words('create role creator -n payments --verb=create --resource=workflowruns.outrider.dev'),
    );
    await controlPlane.mustKubectl(
      words(
        `create rolebinding creator -n payments --role=creator --serviceaccount=${release}:outrider-operator ` +
          '--serviceaccount=payments:outrider-operator',
      ),
    );
    const create = async (namespace: string, name: string): Promise<CommandResult> =>
      controlPlane.kubectl(['create', '-n', 'payments', '-f', '-'], {
        kubeconfig: await controlPlane.serviceAccountKubeconfig({ namespace, name: 'outrider-operator' }),
        input: JSON.stringify({
          apiVersion: 'outrider.dev/v1alpha1',
          kind: 'WorkflowRun',
          metadata: { name },
          spec: { workflowRef: { name: 'patch' }, requestedBy: 'ann' },
        }),
      });
    expect(await create(release, 'for-ann')).toMatchObject({ code: 0, stderr: '' });
    expect((await create('payments', 'pretended')).stderr).toContain('spec.requestedBy is "ann", but user');
  });
});

describe('a user', () => {
  test('of any group reads where the portal is and creates a Login of her own, and reads none', async () => {
    const kubeconfig = await controlPlane.userKubeconfig('ann', ['ops']);
    const url = ['get', 'configmap', 'outrider-portal', '-n', release, '-o', 'jsonpath={.data.url}'];
    expect(await controlPlane.mustKubectl(url, { kubeconfig })).toBe('https://outrider.example.com');
    const login = {
      apiVersion: 'outrider.dev/v1alpha1',
      kind: 'Login',
      metadata: { name: 'ann-1', namespace: release },
      spec: {
        username: 'ann',
        groups: ['ops', 'system:authenticated'],
        publicKey: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
      },
    };
    await controlPlane.mustKubectl(['create', '-f', '-'], { kubeconfig, input: JSON.stringify(login) });
    const read = await controlPlane.kubectl(['get', 'logins', '-n', release], { kubeconfig });
    expect(read.stderr).toContain('User "ann" cannot list resource "logins"');
  });

  const questions = {
    read: 'list workflowruns.outrider.dev',
    log: 'get workflowruns.outrider.dev --subresource=log',
    run: 'run workflows.outrider.dev',
    create: 'create workflowruns.outrider.dev',
    decisions: 'list rundecisions.outrider.dev',
    decide: 'create rundecisions.outrider.dev',
    approve: 'approve workflows.outrider.dev',
    write: 'patch workflows.outrider.dev',
    token: 'create runners.outrider.dev --subresource=registrationtoken',
  };

  test.each([
    [
      'view',
      {
        read: 'yes',
        log: 'yes',
        run: 'no',
        create: 'no',
        decisions: 'yes',
        decide: 'no',
        approve: 'no',
        write: 'no',
        token: 'no',
      },
    ],
    [
      'edit',
      {
        read: 'yes',
        log: 'yes',
        run: 'yes',
        create: 'yes',
        decisions: 'yes',
        decide: 'no',
        approve: 'no',
        write: 'no',
        token: 'no',
      },
    ],
    [
      'admin',
      {
        read: 'yes',
        log: 'yes',
        run: 'yes',
        create: 'yes',
        decisions: 'yes',
        decide: 'yes',
        approve: 'yes',
        write: 'yes',
        token: 'yes',
      },
    ],
  ])('with the cluster role %s in a namespace has its part of the permissions', async (role, wanted) => {
    const user = `${role}-user`;
    await controlPlane.mustKubectl(
      words(`create rolebinding ${user} -n payments --clusterrole=${role} --user=${user}`),
    );
    await waitFor(`the cluster role ${role} to be aggregated`, async () => {
      return (await can(user, `${questions.read} -n payments`)) === 'yes';
    });
    const answers: Record<string, string> = {};
    for (const [name, question] of Object.entries(questions)) {
      answers[name] = await can(user, `${question} -n payments`);
    }
    expect(answers).toEqual(wanted);
  });
});

describe('the values', () => {
  test('limit the namespaces whose Secrets the operator may read', async () => {
    await upgrade('--set', 'credentials.namespaces={payments}');
    const inDefault = async (): Promise<string> => can(operator, 'get secrets/prod-server -n default');
    await waitFor('the API server to know of it', async () => (await inDefault()) === 'no');
    expect(await can(operator, 'get secrets/prod-server -n payments')).toBe('yes');
  });

  test.each([
    ['portal.url=http://outrider.example.com', 'portal/url'],
    ['portal.uri=https://outrider.example.com', "additional properties 'uri' not allowed"],
  ])('are refused when wrong: %s', async (setting, words) => {
    const answer = await upgrade('--dry-run=client', '--set', setting);
    expect(answer.stderr).toContain(words);
    expect(answer.code).toBe(1);
  });
});

describe('uninstalling', () => {
  test('keeps the kinds and what is stored of them', async () => {
    await controlPlane.mustKubectl(words('create -n payments -f -'), {
      input: 'apiVersion: outrider.dev/v1alpha1\nkind: Runner\nmetadata: {name: kept}\nspec: {}\n',
    });
    await mustHelm('uninstall', 'outrider', '--namespace', release);
    const left = await controlPlane.mustKubectl(words('get runners -n payments -o name'));
    expect(left.trim()).toBe('runner.outrider.dev/kept');
    expect((await upgrade()).stdout).toContain('STATUS: deployed');
  });
});
