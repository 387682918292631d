import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT, calculateJwkThumbprint, exportJWK, generateKeyPair, type CryptoKey, type JWK } from 'jose';
import { parseRegistrationToken, type CredentialsResponse, type RegisterRequest } from '@outrider/protocol';
import type { AuthenticatedRunner } from '../dispatch/contract.ts';
import type { KubeClient, KubeObject, ResourceType } from '../kube/contract.ts';
import { KubeError } from '../kube/kube-error.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { openSqliteLedger } from '../ledger/sqlite/open.ts';
import { createAuthority, type Authority } from './ca.ts';
import { assertionType } from './client-assertion.ts';
import type { ProofContext, RunnerIdentity } from './contract.ts';
import { accessTokenHash } from './dpop.ts';
import { createFolderKeyStore } from './folder-key-store.ts';
import { loadKeyMaterial, type KeyMaterial } from './key-material.ts';
import { secretHash } from './registration-tokens.ts';
import { createRunnerIdentity } from './runners.ts';

/** The API server's answers to get and create, from memory; unit tests need no more of it. */
export const memoryKube = () => {
  const objects = new Map<string, KubeObject>();
  const key = (type: ResourceType, namespace: string | undefined, name: string): string =>
    `${type.plural} ${namespace}/${name}`;
  const put = (
    type: ResourceType,
    namespace: string,
    body: {
      metadata: { name: string; labels?: Record<string, string>; creationTimestamp?: string };
    } & Record<string, unknown>,
  ): void => {
    const metadata = { uid: randomUUID(), resourceVersion: '1', namespace, ...body.metadata };
    objects.set(key(type, namespace, body.metadata.name), { ...body, metadata });
  };
  const kube: Pick<KubeClient, 'get' | 'create'> = {
    get: async <T extends KubeObject>(type: ResourceType, ref: { namespace?: string; name: string }) =>
      objects.get(key(type, ref.namespace, ref.name)) as T | undefined,
    create: async <T extends KubeObject>(
      type: ResourceType,
      namespace: string | undefined,
      body: unknown,
    ) => {
      const object = body as Parameters<typeof put>[2];
      const { name } = object.metadata;
      if (objects.has(key(type, namespace, name)))
        throw new KubeError({
          status: 409,
          reason: 'AlreadyExists',
          message: `${type.plural} "${name}" already exists`,
        });
      put(type, namespace ?? '', object);
      return objects.get(key(type, namespace, name)) as T;
    },
  };
  return { kube, put };
};

/** A key as a runner or the CLI holds it, and what it signs. */
export class TestKey {
  readonly key: CryptoKey;
  readonly jwk: JWK;
  readonly thumbprint: string;
  readonly #now: () => number;
  #nonce = '';

  private constructor(key: CryptoKey, jwk: JWK, rest: { thumbprint: string; now: () => number }) {
    this.key = key;
    this.jwk = jwk;
    this.thumbprint = rest.thumbprint;
    this.#now = rest.now;
  }

  static async make(now: () => number): Promise<TestKey> {
    const pair = await generateKeyPair('EdDSA', { crv: 'Ed25519' });
    const jwk = await exportJWK(pair.publicKey);
    return new TestKey(pair.privateKey, jwk, { thumbprint: await calculateJwkThumbprint(jwk), now });
  }

  get x(): string {
    return this.jwk.x ?? '';
  }

  useNonce(nonce: string): this {
    this.#nonce = nonce;
    return this;
  }

  sign(claims: Readonly<Record<string, unknown>>): Promise<string> {
    return new SignJWT({ ...claims }).setProtectedHeader({ alg: 'EdDSA' }).sign(this.key);
  }

  async proof(url: string, accessToken?: string): Promise<ProofContext> {
    const ath = accessToken === undefined ? {} : { ath: accessTokenHash(accessToken) };
    const claims = {
      htm: 'POST',
      htu: url,
      jti: randomUUID(),
      iat: this.#now() / 1000,
      nonce: this.#nonce,
      ...ath,
    };
    const header = { alg: 'EdDSA', typ: 'dpop+jwt', jwk: this.jwk };
    const dpop = await new SignJWT(claims).setProtectedHeader(header).sign(this.key);
    return {
      method: 'POST',
      url,
      authorization: accessToken === undefined ? undefined : `DPoP ${accessToken}`,
      dpop,
    };
  }

  async form(url: string, changes: Readonly<Record<string, unknown>> = {}): Promise<Record<string, string>> {
    const seconds = Math.floor(this.#now() / 1000);
    const { thumbprint: iss } = this;
    const claims = {
      iss,
      sub: iss,
      aud: url,
      jti: randomUUID(),
      iat: seconds,
      exp: seconds + 60,
      ...changes,
    };
    return {
      grant_type: 'client_credentials',
      client_assertion_type: assertionType,
      client_assertion: await this.sign(claims),
    };
  }

  async registration(token: string, name: string, tags?: string[]): Promise<RegisterRequest> {
    const { secret } = parseRegistrationToken(token);
    const claims = { jti: secretHash(secret), aud: 'outrider-register', iat: Math.floor(this.#now() / 1000) };
    return {
      secret,
      name,
      publicKey: { kty: 'OKP', crv: 'Ed25519', x: this.x },
      proof: await this.sign(claims),
      version: '0.1.0',
      ...(tags === undefined ? {} : { tags }),
    };
  }
}

export interface IdentityFixture {
  readonly clock: { now: number };
  readonly keys: KeyMaterial;
  readonly authority: Authority;
  readonly ledger: Ledger;
  readonly kube: ReturnType<typeof memoryKube>;
  readonly identity: RunnerIdentity;
  /** A key that has joined under this name in the namespace team-a. */
  join(name: string, tags?: string[]): Promise<TestKey>;
  close(): Promise<void>;
}

/** An identity over a real ledger in a temporary folder, with a clock of its own. */
export const startIdentity = async (
  options: {
    start?: number;
    credentials?: (runner: AuthenticatedRunner, jws: string) => Promise<CredentialsResponse>;
  } = {},
): Promise<IdentityFixture> => {
  const folder = await mkdtemp(join(tmpdir(), 'outrider-identity-'));
  const clock = { now: options.start ?? Date.parse('2026-11-22T12:00:00Z') };
  const now = (): number => clock.now;
  const keys = await loadKeyMaterial(createFolderKeyStore(folder), clock.now);
  const onError = (error: unknown): never => {
    throw error;
  };
  const authority = await createAuthority({ ca: keys.ca, names: ['localhost', '127.0.0.1'], now, onError });
  const ledger = await openSqliteLedger({ file: join(folder, 'ledger.db') });
  const kube = memoryKube();
  const identity = await createRunnerIdentity({
    authority,
    accessKey: keys.access,
    issuer: 'https://portal.example.com',
    url: 'https://runners.example.com:8443',
    ledger,
    kube: kube.kube,
    credentials: options.credentials ?? (async () => ({})),
    now,
  });
  return {
    clock,
    keys,
    authority,
    ledger,
    kube,
    identity,
    join: async (name, tags) => {
      const made = await identity.createRegistrationToken({
        namespace: 'team-a',
        tags: null,
        local: false,
        createdBy: 'ann',
      });
      const key = await TestKey.make(now);
      await identity.register(await key.registration(made.token, name, tags));
      return key;
    },
    close: async () => {
      authority.close();
      await ledger.close();
      await rm(folder, { recursive: true });
    },
  };
};
