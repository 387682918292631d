import { OutriderError } from '@outrider/protocol';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { parse, stringify } from 'yaml';
import type { TestContextOptions } from '../test-context.ts';
import { testContext } from '../test-context.ts';
import { inClusterKubeconfig } from './in-cluster.ts';
import { pinnedKubeconfig } from './kubeconfig.ts';

const config = (user: object = { token: 't' }, current: string | undefined = 'prod-eks'): string =>
  stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': current,
    contexts: ['prod-eks', 'staging'].map((name) => ({
      name,
      context: { cluster: 'c', user: 'u', namespace: 'own' },
    })),
    clusters: [
      { name: 'c', cluster: { server: 'https://one.example' } },
      { name: 'd', cluster: { server: 'https://two.example' } },
    ],
    users: [{ name: 'u', user }],
  });

const pin = async (options: Partial<TestContextOptions>): Promise<Record<string, unknown>> => {
  const { context } = testContext({ node: 'kubectl-exec', input: {}, ...options });
  const value: unknown = parse((await pinnedKubeconfig(context)).text);
  if (typeof value !== 'object' || value === null) throw new Error('no object');
  return { ...value };
};

const refusal = async (options: Partial<TestContextOptions>): Promise<string> => {
  const error: unknown = await pin(options).catch((reason: unknown) => reason);
  return error instanceof OutriderError ? `${error.code}: ${error.message}` : JSON.stringify(error);
};

const strict = { localExec: false };

describe('the kubeconfig of the credential', () => {
  test('is cut down to its current context, and pinned to the namespace of the target', async () => {
    expect(
      await pin({ credential: { kubeconfig: config() }, connection: { namespace: 'payments' } }),
    ).toEqual({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'prod-eks',
      contexts: [{ name: 'prod-eks', context: { cluster: 'cluster', user: 'user', namespace: 'payments' } }],
      clusters: [{ name: 'cluster', cluster: { server: 'https://one.example' } }],
      users: [{ name: 'user', user: { token: 't' } }],
    });
  });

  test("keeps the context's own namespace where the target names none", async () => {
    const pinned = await pin({ credential: { kubeconfig: config() }, connection: { context: 'staging' } });
    expect(pinned['contexts']).toEqual([
      { name: 'staging', context: { cluster: 'cluster', user: 'user', namespace: 'own' } },
    ]);
  });

  test('without the context of the target is ContextNotFound', async () => {
    expect(await refusal({ credential: { kubeconfig: config() }, connection: { context: 'x' } })).toBe(
      'ContextNotFound: The kubeconfig of the credential has no context x; its contexts are: prod-eks, staging.',
    );
  });

  test('that would run a program, or read files, is refused unless local-exec is permitted', async () => {
    const exec = { credential: { kubeconfig: config({ exec: { command: 'id' } }) } };
    expect(await refusal({ ...exec, machine: strict })).toBe(
      "LocalExecNotAllowed: The kubeconfig of the credential would run a program on the runner (exec), and this machine's configuration does not permit local-exec.",
    );
    expect(await refusal({ credential: { kubeconfig: config({ tokenFile: '/x' }) }, machine: strict })).toBe(
      'CredentialInvalid: The kubeconfig of the credential names a file (tokenFile) that would be read on the runner.',
    );
    expect((await pin(exec))['users']).toEqual([{ name: 'user', user: { exec: { command: 'id' } } }]);
  });

  test('cannot hide a program in a merge key, which kubectl would resolve', async () => {
    const merged = config({ token: 't' }).replace('token: t', '<<: { exec: { command: id } }');
    expect(await refusal({ credential: { kubeconfig: merged }, machine: strict })).toBe(
      "LocalExecNotAllowed: The kubeconfig of the credential would run a program on the runner (exec), and this machine's configuration does not permit local-exec.",
    );
    const quoted = config({ token: 't', '"<<"': 1 }).replace(`'"<<"': 1`, '"<<": { exec: { command: id } }');
    expect(quoted).toContain('"<<": { exec');
    const { context } = testContext({
      node: 'kubectl-exec',
      input: {},
      credential: { kubeconfig: quoted },
      machine: strict,
    });
    const { text } = await pinnedKubeconfig(context);
    expect(text).toContain('token: t');
    expect(text).not.toContain('exec');
  });

  test('loses fields that kubectl does not know', async () => {
    const pinned = await pin({
      credential: { kubeconfig: config({ token: 't', other: 1 }) },
      machine: strict,
    });
    expect(pinned['users']).toEqual([{ name: 'user', user: { token: 't' } }]);
  });

  test('that is none does not leak its text', async () => {
    expect(await refusal({ credential: { kubeconfig: 'hunter2: [' } })).toBe(
      'CredentialInvalid: The kubeconfig of the credential is no YAML or JSON with contexts.',
    );
    expect(await refusal({ credential: { password: 'hunter2' } })).toBe(
      'CredentialInvalid: The credential has no field kubeconfig; its fields are: password.',
    );
  });
});

describe("the runner's own kubeconfig", () => {
  const folder = mkdtempSync(join(tmpdir(), 'outrider-test-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const kubeconfig = join(folder, 'config');
  writeFileSync(kubeconfig, config({ 'client-key': 'key.pem', exec: { command: 'id' } }));

  test('is used for a listed context, with file names made absolute', async () => {
    const machine = { ...strict, kubeconfig, kubeContexts: ['prod-eks'] };
    expect((await pin({ machine, connection: { context: 'prod-eks' } }))['users']).toEqual([
      { name: 'user', user: { 'client-key': join(folder, 'key.pem'), exec: { command: 'id' } } },
    ]);
  });

  test('is not used for another context of it', async () => {
    const machine = { kubeconfig, kubeContexts: ['prod-eks'] };
    expect(await refusal({ machine, connection: { context: 'staging' } })).toBe(
      'ContextNotFound: Context staging is not known here: the step has no credential, no Target of that name has one, and this runner permits these contexts of its own kubeconfig: prod-eks.',
    );
  });
});

describe("the pod's ServiceAccount", () => {
  test('is used only without a context, in its own namespace unless the target names one', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'outrider-test-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, 'token'), 't');
    writeFileSync(join(folder, 'namespace'), 'apps\n');
    const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
    expect(await inClusterKubeconfig(undefined, env, folder)).toMatchObject({
      contexts: [{ context: { namespace: 'apps' } }],
      clusters: [{ cluster: { server: 'https://[fd00::1]:443' } }],
      users: [{ user: { tokenFile: join(folder, 'token') } }],
    });
    expect(await inClusterKubeconfig('payments', {}, folder)).toBeUndefined();
  });

  test('outside a pod, a step with nothing to use says what to do', async () => {
    expect(await refusal({})).toBe(
      'ContextNotFound: Step step-1 names neither a context nor a credential, and this runner has no ServiceAccount (/var/run/secrets/kubernetes.io/serviceaccount does not exist).',
    );
  });
});
