import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { credentialOf, materialOf } from './credentials.ts';
import { loadKubeconfig, selectContext } from './kubeconfig.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'outrider-kubeconfig-'));
});
afterEach(() => rm(folder, { recursive: true }));

const write = async (name: string, text: string): Promise<string> => {
  const path = join(folder, name);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, text);
  return path;
};

const first = `
current-context: dev
contexts:
  - {name: dev, context: {cluster: c1, user: ann, namespace: team-a}}
clusters:
  - {name: c1, cluster: {server: "https://one:6443", certificate-authority: ca.crt}}
users:
  - {name: ann, user: {token: first}}
`;
const second = `
current-context: prod
contexts:
  - {name: dev, context: {cluster: c2, user: bob}}
  - {name: prod, context: {cluster: c2, user: bob}}
clusters:
  - {name: c2, cluster: {server: "https://two:6443"}}
users:
  - {name: ann, user: {token: second}}
  - {name: bob, user: {tokenFile: ../secret/token, as: carol, as-groups: [ops]}}
`;
const plugins = { env: {}, isTTY: false };

describe('files of KUBECONFIG', () => {
  it('are merged as kubectl does: the first that sets a name or the context wins, missing ones are skipped', async () => {
    const paths = [join(folder, 'missing'), await write('a/first', first), await write('b/second', second)];
    const config = await loadKubeconfig(undefined, { KUBECONFIG: paths.join(delimiter) });
    const dev = selectContext(config, undefined);
    expect([dev.context, dev.namespace, dev.cluster.name, dev.user.body['token']]).toEqual([
      'dev',
      'team-a',
      'c1',
      'first',
    ]);
    const prod = selectContext(config, 'prod');
    expect([prod.namespace, prod.cluster.body['server']]).toEqual([undefined, 'https://two:6443']);
  });

  it('name files that count from their own folder', async () => {
    await write('secret/token', 'from-file\n');
    await write('a/ca.crt', 'CA');
    const config = await loadKubeconfig(undefined, {
      KUBECONFIG: [await write('a/first', first), await write('b/second', second)].join(delimiter),
    });
    expect(await materialOf(selectContext(config, 'dev').cluster, 'certificate-authority')).toBe('CA');
    expect((await credentialOf(selectContext(config, 'prod'), plugins)).headers).toEqual({
      authorization: 'Bearer from-file',
      'impersonate-user': 'carol',
      'impersonate-group': ['ops'],
    });
  });

  it('are those of --kubeconfig alone when it is given, which must be there', async () => {
    const path = await write('one', second);
    const config = await loadKubeconfig(path, { KUBECONFIG: await write('two', first) });
    expect(config.currentContext).toBe('prod');
    await expect(loadKubeconfig(join(folder, 'none'), {})).rejects.toMatchObject({ code: 'ConfigInvalid' });
  });

  it('are found in the home folder when nothing names them', async () => {
    await write('.kube/config', first);
    expect((await loadKubeconfig(undefined, { HOME: folder })).currentContext).toBe('dev');
  });

  it('that are no YAML are named', async () => {
    const path = await write('bad', 'a: [');
    await expect(loadKubeconfig(path, {})).rejects.toThrow(`The kubeconfig ${path} is not YAML:`);
  });
});

describe('a context', () => {
  it('that is not there is refused with what was probably meant', async () => {
    const path = await write('one', second);
    const config = await loadKubeconfig(path, {});
    expect(() => selectContext(config, 'prd')).toThrow(
      expect.objectContaining({
        message: `There is no context "prd" in ${path}.`,
        action: 'Did you mean "prod"?',
      }),
    );
  });

  it('must be chosen, and must lead to a cluster', async () => {
    const config = await loadKubeconfig(
      await write('one', 'contexts: [{name: x, context: {cluster: y}}]'),
      {},
    );
    expect(() => selectContext(config, undefined)).toThrow('No context is chosen');
    expect(() => selectContext(config, 'x')).toThrow('The context "x" names the cluster "y"');
  });
});

describe('a credential', () => {
  const selectionOf = async (user: string) =>
    selectContext(
      await loadKubeconfig(
        await write(
          'k',
          `current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: "https://s"}}]\nusers: [{name: u, user: ${user}}]`,
        ),
        {},
      ),
      undefined,
    );

  it('is a client certificate, as data before files', async () => {
    await write('key.pem', 'KEY');
    const data = Buffer.from('CERT').toString('base64');
    const selection = await selectionOf(
      `{client-certificate-data: ${data}, client-certificate: nowhere, client-key: key.pem}`,
    );
    expect(await credentialOf(selection, plugins)).toEqual({ headers: {}, cert: 'CERT', key: 'KEY' });
  });

  it('comes from a plugin that is started without a shell, with arguments, environment and what it must know', async () => {
    const script = await write(
      'plugin.mjs',
      `const { spec } = JSON.parse(process.env.KUBERNETES_EXEC_INFO);
       const token = [process.argv[2], process.env.EXTRA, spec.interactive, spec.cluster.server].join(' ');
       console.log(JSON.stringify({ status: { token, expirationTimestamp: '2026-11-22T12:00:00Z' } }));`,
    );
    const selection = await selectionOf(
      JSON.stringify({
        exec: {
          apiVersion: 'client.authentication.k8s.io/v1',
          command: process.execPath,
          args: [script, '$(id); "x"'],
          env: [{ name: 'EXTRA', value: 'more' }],
          provideClusterInfo: true,
        },
      }),
    );
    expect(await credentialOf(selection, plugins)).toEqual({
      headers: { authorization: 'Bearer $(id); "x" more false https://s' },
      expiresAt: Date.parse('2026-11-22T12:00:00Z'),
    });
  });

  it('of a plugin that fails, is missing or prints nothing is refused by name', async () => {
    const refusal = async (exec: object): Promise<unknown> =>
      credentialOf(await selectionOf(JSON.stringify({ exec })), plugins).catch((error: unknown) => error);
    expect(await refusal({ command: process.execPath, args: ['-e', 'process.exit(3)'] })).toMatchObject({
      code: 'CredentialPluginFailed',
      message: `The credential plugin ${process.execPath} of the kubeconfig ended with exit code 3.`,
    });
    expect(await refusal({ command: './no-such-plugin', installHint: 'Install it so.' })).toMatchObject({
      message: expect.stringContaining(
        `${join(folder, 'no-such-plugin')} of the kubeconfig cannot be started`,
      ),
      action: 'Install it so.',
    });
    expect(await refusal({ command: process.execPath, args: ['-e', '0'] })).toMatchObject({
      message: `The credential plugin ${process.execPath} of the kubeconfig printed no token and no certificate.`,
    });
  });

  it('of a removed kind is refused', async () => {
    const selection = await selectionOf('{auth-provider: {name: gcp}}');
    await expect(credentialOf(selection, plugins)).rejects.toThrow('which Kubernetes has removed');
  });
});
