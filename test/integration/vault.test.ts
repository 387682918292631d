import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCredentials } from '@outrider/operator/identity/credentials';
import { TestKey, startIdentity, type IdentityFixture } from '@outrider/operator/identity/fixture';
import type { TaskRecord } from '@outrider/operator/ledger/records';
import { createEnvelopeKey, type EnvelopeKey } from '@outrider/runner/secrets/envelope';
import { readVault } from '@outrider/runner/secrets/vault';
import type { CredentialStore, CredentialStoreSpec } from '@outrider/kinds';
import { OutriderError, type CredentialsRequest, type CredentialsResponse } from '@outrider/protocol';
import { startOpenBao, type OpenBao } from '../servers/openbao.ts';
import { useNamespace } from './cluster.ts';
import { kubeClient } from './kube-fixture.ts';
import { aTaskRecord } from '@outrider/operator/testing/builders';

const cluster = useNamespace('vault');
const { namespace } = cluster;
const kube = kubeClient(cluster.controlPlane);
const issuer = 'https://portal.example.com';
let openbao: OpenBao;
let fixture: IdentityFixture;
let key: TestKey;

beforeAll(async () => {
  // The server checks the times in the token by its own clock.
  fixture = await startIdentity({ start: Date.now() });
  key = await fixture.join('edge-1');
  openbao = await startOpenBao();
  await openbao.enableKv('ops');
  await openbao.writeSecret('ops', 'team-a/prod/ssh', { username: 'root', password: 'geheim' });
  await openbao.writeSecret('ops', 'team-b/prod/ssh', { password: 'of another team' });
  await openbao.writePolicy('team-a', 'path "ops/data/team-a/*" { capabilities = ["read"] }');
  await openbao.enableJwt('jwt', [fixture.keys.attempt.publicPem], issuer);
  const bound = {
    audience: openbao.url,
    policies: ['team-a'],
    boundSubject: `outrider:${namespace}:nightly`,
  };
  await openbao.writeJwtRole('jwt', {
    name: 'runner',
    ...bound,
    boundClaims: { step: 'restart', target: 'web-1' },
  });
  await openbao.writeJwtRole('jwt', { name: 'other', ...bound, boundClaims: { step: 'deploy' } });
  await openbao.api('POST', 'sys/auth/approle', { type: 'approle' });
  await openbao.api('POST', 'auth/approle/role/operator', { token_policies: ['team-a'], token_ttl: 60 });
});
afterAll(async () => {
  await openbao.stop();
  await fixture.close();
});

const task = (credential: string): TaskRecord =>
  aTaskRecord({
    id: 't1',
    runUid: 'u1',
    target: 'web-1',
    spec: {
      namespace,
      run: 'nightly-1',
      runUid: 'u1',
      workflow: 'nightly',
      step: 'restart',
      node: 'ssh-exec',
      input: {},
      credential,
      timeoutMs: 1000,
    },
    state: 'Running',
    epoch: 1,
    runner: key.thumbprint,
    runnerName: 'edge-1',
    session: 's1',
  });

interface Asked {
  readonly answer: CredentialsResponse;
  readonly request: CredentialsRequest;
  readonly envelope: EnvelopeKey;
}

const storeOf = (spec: CredentialStoreSpec): CredentialStore => ({
  apiVersion: 'outrider.dev/v1alpha1',
  kind: 'CredentialStore',
  metadata: {
    name: 'vault',
    namespace,
    uid: 'u',
    resourceVersion: '1',
    generation: 1,
    creationTimestamp: '2026-11-22T12:00:00Z',
  },
  spec,
});

/** Asks as the runner does; the store is at the running server unless told otherwise. */
const ask = async (
  access: 'Runner' | 'Operator',
  vault: Partial<CredentialStoreSpec['vault']>,
  reference = 'vault:prod/ssh',
): Promise<Asked> => {
  const at = { address: openbao.url, caBundle: openbao.caPem, mount: 'ops', pathPrefix: 'team-a' };
  const store = storeOf({ access, vault: { ...at, ...vault } });
  const held = task(reference);
  const credentials = createCredentials({
    dispatch: { authorizeSecrets: async () => held },
    stores: { get: () => store, list: () => [store] },
    kube,
    ledger: fixture.ledger,
    attemptToken: { key: fixture.keys.attempt, issuer, now: () => fixture.clock.now },
  });
  const envelope = await createEnvelopeKey();
  const request = {
    session: 's1',
    generation: 'g1',
    task: 't1',
    epoch: 1,
    reference,
    envelopeKey: envelope.publicKey,
  };
  const runner = { clientId: key.thumbprint, namespace, name: 'edge-1', local: false };
  return { answer: await credentials(runner, await key.sign(request)), request, envelope };
};

const signal = new AbortController().signal;
const jwt = { role: 'runner' };

const refusal = async (work: Promise<unknown>): Promise<OutriderError> => {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof OutriderError) return error;
  throw new Error('it was not refused with an OutriderError', { cause: error });
};

describe('a store that runners read', () => {
  test("is opened by the runner with the operator's token for the attempt", async () => {
    const { answer } = await ask('Runner', { jwt });
    if (!answer.vault) throw new Error('there is no grant');
    expect(await readVault(answer.vault, { signal })).toEqual({ username: 'root', password: 'geheim' });
    expect(openbao.audit().at(-1)).toMatchObject({ path: 'auth/token/revoke-self', ok: true });
  });

  test('stays shut for a role that is bound to another step', async () => {
    const { answer } = await ask('Runner', { jwt: { role: 'other' } });
    if (!answer.vault) throw new Error('there is no grant');
    expect(await refusal(readVault(answer.vault, { signal }))).toMatchObject({ code: 'StoreDenied' });
  });
});

describe('a store that the operator reads', () => {
  test('arrives in an envelope that the runner opens, and the token is revoked', async () => {
    const { answer, request, envelope } = await ask('Operator', { jwt });
    if (!answer.envelope) throw new Error('there is no envelope');
    expect(await envelope.open(answer.envelope, request)).toEqual({ username: 'root', password: 'geheim' });
    expect(openbao.audit().at(-1)).toMatchObject({ path: 'auth/token/revoke-self', ok: true });
    const other = { ...request, epoch: 2 };
    expect(await refusal(envelope.open(answer.envelope, other))).toMatchObject({ code: 'EnvelopeInvalid' });
  });

  test('may be opened with an AppRole whose secret is in a labelled Secret', async () => {
    const role = Object((await openbao.api('GET', 'auth/approle/role/operator/role-id')) ?? {});
    const secret = Object((await openbao.api('POST', 'auth/approle/role/operator/secret-id', {})) ?? {});
    const literal = `--from-literal=secretId=${secret.data.secret_id}`;
    await cluster.mustKubectl(['create', 'secret', 'generic', 'approle', literal]);
    const vault = { appRole: { roleId: String(role.data.role_id), secretRef: { name: 'approle' } } };
    expect(await refusal(ask('Operator', vault))).toMatchObject({
      code: 'SecretNotAllowed',
      action: `If workflows of ${namespace} may use it: kubectl -n ${namespace} label secret approle outrider.dev/allow=true`,
    });
    await cluster.mustKubectl(['label', 'secret', 'approle', 'outrider.dev/allow=true']);
    const { answer, request, envelope } = await ask('Operator', vault);
    if (!answer.envelope) throw new Error('there is no envelope');
    expect(await envelope.open(answer.envelope, request)).toEqual({ username: 'root', password: 'geheim' });
  });

  test('says why it was refused, in the words of the store', async () => {
    const wrongRole = await refusal(ask('Operator', { jwt: { role: 'other' } }));
    expect(wrongRole.code).toBe('StoreDenied');
    expect(wrongRole.message).toMatch(
      /^The CredentialStore vault refused the operator's login at auth\/jwt \(jwt\): .*claim/,
    );
    const wrongPath = await refusal(ask('Operator', { jwt, pathPrefix: 'team-b' }));
    expect(wrongPath).toMatchObject({
      code: 'StoreDenied',
      message: expect.stringMatching(
        /does not let the operator read ops\/team-b\/prod\/ssh: .*permission denied/s,
      ),
      action: 'Give the role a policy with read on ops/data/team-b/prod/ssh.',
    });
    expect(await refusal(ask('Operator', { jwt }, 'vault:prod/none'))).toMatchObject({
      code: 'SecretNotFound',
      message: 'The CredentialStore vault has no secret at ops/team-a/prod/none.',
    });
  });

  test('whose certificate nobody vouches for is not spoken to', async () => {
    const { caPem } = fixture.identity;
    expect(await refusal(ask('Operator', { jwt, caBundle: caPem }))).toMatchObject({
      code: 'StoreUnreachable',
      message: expect.stringContaining('certificate'),
    });
  });
});

test('a labelled Secret of the API server arrives in an envelope', async () => {
  await cluster.mustKubectl(['create', 'secret', 'generic', 'prod', '--from-literal=password=geheim']);
  await cluster.mustKubectl(['label', 'secret', 'prod', 'outrider.dev/allow=true']);
  const { answer, request, envelope } = await ask('Runner', {}, 'secret:prod');
  if (!answer.envelope) throw new Error('there is no envelope');
  expect(await envelope.open(answer.envelope, request)).toEqual({ password: 'geheim' });
});
