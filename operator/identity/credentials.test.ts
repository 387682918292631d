import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import { decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OutriderError, envelopeInfo, type CredentialsRequest, type EnvelopeGrant } from '@outrider/protocol';
import type { CredentialStore, CredentialStoreSpec } from '@outrider/kinds';
import type { AuthenticatedRunner } from '../dispatch/contract.ts';
import { secrets } from '../kube/resources.ts';
import type { TaskRecord } from '../ledger/records.ts';
import { createCredentials, type CredentialsOptions } from './credentials.ts';
import { TestKey, startIdentity, type IdentityFixture } from './fixture.ts';
import { aTaskRecord } from '../testing/builders.ts';

const suite = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Aes256Gcm(),
});

const task = (credential: string): TaskRecord =>
  aTaskRecord({
    id: 't1',
    runUid: 'u1',
    target: 'web-1',
    spec: {
      namespace: 'team-a',
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
    epoch: 2,
  });

const storeOf = (spec: CredentialStoreSpec): CredentialStore => ({
  apiVersion: 'outrider.dev/v1alpha1',
  kind: 'CredentialStore',
  metadata: {
    name: 'vault',
    namespace: 'team-a',
    uid: 'u',
    resourceVersion: '1',
    generation: 1,
    creationTimestamp: '2026-11-22T12:00:00Z',
  },
  spec,
});

let fixture: IdentityFixture;
let key: TestKey;
let runner: AuthenticatedRunner;
let pair: Awaited<ReturnType<typeof suite.kem.generateKeyPair>>;
let held: TaskRecord;
let stores: CredentialStore[];

beforeEach(async () => {
  fixture = await startIdentity();
  key = await fixture.join('edge-1');
  runner = { clientId: key.thumbprint, namespace: 'team-a', name: 'edge-1', local: false };
  pair = await suite.kem.generateKeyPair();
  held = task('secret:prod');
  stores = [];
});
afterEach(() => fixture.close());

const request = async (changes: Partial<CredentialsRequest> = {}): Promise<CredentialsRequest> => ({
  session: 's1',
  generation: 'g1',
  task: 't1',
  epoch: 2,
  reference: held.spec.credential ?? '',
  envelopeKey: Buffer.from(await suite.kem.serializePublicKey(pair.publicKey)).toString('base64url'),
  ...changes,
});

/** Answers like the dispatcher: only for the attempt that is held, at its epoch. */
const authorizeSecrets: CredentialsOptions['dispatch']['authorizeSecrets'] = async (_, asked) => {
  if (asked.task === held.id && asked.epoch === held.epoch) return held;
  throw new OutriderError({ code: 'EpochMismatch', message: 'It is at another epoch.', action: 'Drop it.' });
};

const ask = async (asked: CredentialsRequest, signer: TestKey = key) => {
  const credentials = createCredentials({
    dispatch: { authorizeSecrets },
    stores: {
      get: (namespace, name) =>
        stores.find((each) => each.metadata.namespace === namespace && each.metadata.name === name),
      list: () => stores,
    },
    kube: fixture.kube.kube,
    ledger: fixture.ledger,
    attemptToken: {
      key: fixture.keys.attempt,
      issuer: 'https://portal.example.com',
      now: () => fixture.clock.now,
    },
  });
  return credentials(runner, await signer.sign({ ...asked }));
};

const bytes = (text: string): ArrayBuffer => Uint8Array.from(Buffer.from(text, 'base64url')).buffer;

const open = async (grant: EnvelopeGrant | undefined, binding: CredentialsRequest): Promise<unknown> => {
  const info = Uint8Array.from(envelopeInfo(binding)).buffer;
  const recipient = { recipientKey: pair.privateKey, enc: bytes(grant?.enc ?? ''), info };
  return JSON.parse(Buffer.from(await suite.open(recipient, bytes(grant?.ciphertext ?? ''))).toString());
};

const putSecret = (labels: Record<string, string>): void =>
  fixture.kube.put(secrets, 'team-a', {
    metadata: { name: 'prod', labels },
    data: {
      username: Buffer.from('root').toString('base64'),
      password: Buffer.from('gêheim').toString('base64'),
    },
  });

describe('a credential from a Secret', () => {
  it('arrives in an envelope that opens for this attempt and for no other', async () => {
    putSecret({ 'outrider.dev/allow': 'true' });
    const asked = await request();
    const { envelope, vault } = await ask(asked);
    expect(vault).toBeUndefined();
    expect(await open(envelope, asked)).toEqual({ username: 'root', password: 'gêheim' });
    for (const other of [{ epoch: 3 }, { task: 't2' }, { generation: 'g2' }, { reference: 'secret:dev' }])
      await expect(open(envelope, { ...asked, ...other })).rejects.toThrow();
  });

  it('is refused without the label, with the command that sets it', async () => {
    putSecret({});
    await expect(ask(await request())).rejects.toMatchObject({
      code: 'SecretNotAllowed',
      message:
        'The Secret prod in namespace team-a is not meant for Outrider: it lacks the label outrider.dev/allow=true.',
      action:
        'If workflows of team-a may use it: kubectl -n team-a label secret prod outrider.dev/allow=true',
    });
  });

  it('is refused where it is the secret_id of a store', async () => {
    putSecret({ 'outrider.dev/allow': 'true' });
    const vault = { address: 'https://v.example.com', appRole: { roleId: 'r', secretRef: { name: 'prod' } } };
    stores = [storeOf({ access: 'Operator', vault })];
    const message =
      'The Secret prod in namespace team-a holds the secret_id of the CredentialStore vault, which never leaves the operator.';
    await expect(ask(await request())).rejects.toMatchObject({ code: 'SecretNotAllowed', message });
  });

  it('that is not there is named', async () => {
    await expect(ask(await request())).rejects.toMatchObject({
      code: 'SecretNotFound',
      message: 'There is no Secret prod in namespace team-a.',
    });
  });

  it('leaves an audit record of who read what, without the secret', async () => {
    putSecret({ 'outrider.dev/allow': 'true' });
    await ask(await request());
    const [record] = await fixture.ledger.listAudit({ limit: 1 });
    expect(record).toMatchObject({
      actor: 'runner:team-a/edge-1',
      action: 'credential.read',
      object: 'team-a/nightly-1',
      details: { reference: 'secret:prod', step: 'restart', task: 't1', epoch: 2, outcome: 'Envelope' },
    });
    expect(JSON.stringify(record)).not.toContain('heim');
  });
});

describe('a request for a credential', () => {
  it('for an attempt that the runner does not hold is refused', async () => {
    putSecret({ 'outrider.dev/allow': 'true' });
    await expect(ask(await request({ epoch: 1 }))).rejects.toMatchObject({ code: 'EpochMismatch' });
  });

  it('for another credential than that of the step is refused', async () => {
    await expect(ask(await request({ reference: 'secret:other' }))).rejects.toMatchObject({
      code: 'Forbidden',
      message: 'Step restart of run nightly-1 does not use the credential secret:other.',
    });
  });

  it('signed by another key is refused, so that nobody can put in an envelope key of their own', async () => {
    const other = await TestKey.make(() => fixture.clock.now);
    await expect(ask(await request(), other)).rejects.toMatchObject({
      code: 'EnvelopeInvalid',
      message:
        "The request for a credential was refused: its signature is not of the runner's registered key.",
    });
  });

  it('with something that is no X25519 key is refused', async () => {
    putSecret({ 'outrider.dev/allow': 'true' });
    await expect(ask(await request({ envelopeKey: 'AAAA' }))).rejects.toMatchObject({
      code: 'EnvelopeInvalid',
      message: 'The envelopeKey is not an X25519 public key (32 bytes, base64url).',
    });
  });

  it.each(['vault:../other', 'vault:a/../b', 'vault:a//b', 'vault:a/./b', 'no-store'])(
    'for %s is refused: it could leave its prefix',
    async (reference) => {
      held = task(reference);
      await expect(ask(await request())).rejects.toMatchObject({ code: 'BadRequest' });
    },
  );

  it('of a store that is not there names those that are', async () => {
    held = task('prod:x');
    stores = [storeOf({ vault: { address: 'https://v.example.com', jwt: { role: 'r' } } })];
    await expect(ask(await request())).rejects.toMatchObject({
      code: 'StoreNotFound',
      message:
        'There is no CredentialStore prod in namespace team-a. There: secret, vault (secret is built in).',
    });
  });
});

describe('a credential from Vault that the runner reads itself', () => {
  beforeEach(() => {
    held = task('vault:prod/ssh');
  });

  it('is a grant with a token for this attempt', async () => {
    const address = 'https://v.example.com';
    stores = [storeOf({ vault: { address, pathPrefix: 'team-a', jwt: { role: 'runner' } } })];
    const { vault } = await ask(await request());
    expect(vault).toEqual({
      kind: 'Vault',
      address,
      authMount: 'jwt',
      role: 'runner',
      mount: 'secret',
      path: 'team-a/prod/ssh',
      jwt: expect.any(String),
    });
    const jwt = vault?.jwt ?? '';
    expect(decodeProtectedHeader(jwt)).toMatchObject({ alg: 'ES256', kid: fixture.keys.attempt.kid });
    await jwtVerify(jwt, fixture.keys.attempt.publicKey, { currentDate: new Date(fixture.clock.now) });
    const seconds = fixture.clock.now / 1000;
    expect(decodeJwt(jwt)).toEqual({
      iss: 'https://portal.example.com',
      sub: 'outrider:team-a:nightly',
      aud: address,
      jti: expect.any(String),
      iat: seconds,
      exp: seconds + 300,
      namespace: 'team-a',
      workflow: 'nightly',
      run: 'nightly-1',
      step: 'restart',
      target: 'web-1',
      runner: 'edge-1',
      task: 't1',
      epoch: 2,
    });
  });

  it('needs jwt: an AppRole never leaves the operator', async () => {
    stores = [
      storeOf({
        vault: { address: 'https://v.example.com', appRole: { roleId: 'r', secretRef: { name: 's' } } },
      }),
    ];
    await expect(ask(await request())).rejects.toMatchObject({
      code: 'StoreDenied',
      message: 'The CredentialStore vault cannot be used: runners log in with jwt only, and it has none.',
    });
  });

  it('which the operator must read, and cannot reach, says so', async () => {
    stores = [storeOf({ access: 'Operator', vault: { address: 'http://127.0.0.1:9', jwt: { role: 'r' } } })];
    await expect(ask(await request())).rejects.toMatchObject({
      code: 'StoreUnreachable',
      message: expect.stringMatching(
        /^The CredentialStore vault at http:\/\/127\.0\.0\.1:9 did not answer the operator: /,
      ),
    });
  });
});
