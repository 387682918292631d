import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import {
  envelopeInfo,
  type CredentialsRequest,
  type EnvelopeGrant,
  type VaultGrant,
} from '@outrider/protocol';
import { decodeJwt } from 'jose';
import {
  createWorkbench,
  eventually,
  expectDrained,
  ref,
  spec,
  type Workbench,
} from '../agent/testing/bench.ts';
import { createEnvelopeKey } from './envelope.ts';
import { readVault } from './vault.ts';

const suite = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Aes256Gcm(),
});
const base64url = (bytes: ArrayBuffer): string => Buffer.from(bytes).toString('base64url');

/** What the operator does, by the same RFC. */
const seal = async (
  request: Pick<CredentialsRequest, 'generation' | 'task' | 'epoch' | 'reference' | 'envelopeKey'>,
  plaintext: string,
): Promise<EnvelopeGrant> => {
  const raw = new Uint8Array(Buffer.from(request.envelopeKey, 'base64url'));
  const recipientPublicKey = await suite.kem.deserializePublicKey(raw.buffer);
  const info = new Uint8Array(envelopeInfo(request));
  const { enc, ct } = await suite.seal(
    { recipientPublicKey, info: info.buffer },
    new TextEncoder().encode(plaintext).buffer,
  );
  return { kind: 'Envelope', enc: base64url(enc), ciphertext: base64url(ct) };
};

const binding = { generation: 'g1', task: 't1', epoch: 1, reference: 'secret:db' };

test('an envelope opens for its key, attempt and reference', async () => {
  const key = await createEnvelopeKey();
  const grant = await seal({ ...binding, envelopeKey: key.publicKey }, '{"password":"p1"}');
  expect(await key.open(grant, binding)).toEqual({ password: 'p1' });
});

test.each([
  ['another epoch', { ...binding, epoch: 2 }],
  ['another reference', { ...binding, reference: 'secret:other' }],
  ['another generation', { ...binding, generation: 'g2' }],
])('an envelope for %s is refused', async (_, other) => {
  const key = await createEnvelopeKey();
  const grant = await seal({ ...other, envelopeKey: key.publicKey }, '{"password":"p1"}');
  await expect(key.open(grant, binding)).rejects.toMatchObject({
    code: 'EnvelopeInvalid',
    message: 'The credential secret:db arrived in an envelope that cannot be opened for this attempt.',
  });
});

test('what is no object of strings is refused, and no error holds the secret', async () => {
  const key = await createEnvelopeKey();
  const number = await seal({ ...binding, envelopeKey: key.publicKey }, '{"password":7}');
  await expect(key.open(number, binding)).rejects.toMatchObject({
    code: 'CredentialInvalid',
    message: 'Field password of the secret secret:db is not a string.',
  });
  const broken = await seal({ ...binding, envelopeKey: key.publicKey }, 'hunter2 is no JSON');
  const error: unknown = await key.open(broken, binding).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'EnvelopeInvalid', cause: undefined });
});

let bench: Workbench | undefined;
let closeVault: (() => Promise<void>) | undefined;
afterEach(async () => {
  await bench?.close();
  await closeVault?.();
  bench = undefined;
  closeVault = undefined;
});

test('a credential is asked for after accept, signed by the runner, and reaches the executor alone', async () => {
  bench = await createWorkbench();
  const { operator } = bench;
  const asked: string[] = [];
  operator.credentials = async (jws) => {
    const request = decodeJwt(jws) as unknown as CredentialsRequest;
    asked.push(`${request.task}/${request.epoch} ${request.reference} ${operator.accepted.has('t1/1')}`);
    return { envelope: await seal(request, '{"password":"hunter2"}') };
  };
  const seen: unknown[] = [];
  await bench.start(({ request }) => {
    seen.push(request.credential);
    return Promise.resolve({});
  });
  operator.offer(ref('t1'), { ...spec, credential: 'secret:db' });
  await eventually(() => expect(operator.results.size).toBe(1));
  expect(asked).toEqual(['t1/1 secret:db true']);
  expect(seen).toEqual([{ password: 'hunter2' }]);
  expect(JSON.stringify([bench.journal.attempts(), bench.logger.lines, operator.reports])).not.toContain(
    'hunter2',
  );
  expectDrained(await bench.drain());
});

test('a refused credential fails the attempt with its code, and its log says why', async () => {
  bench = await createWorkbench();
  const { operator } = bench;
  operator.fault = (path) =>
    path.endsWith('/credentials') ? { status: 403, code: 'SecretNotAllowed' } : undefined;
  await bench.start(() => Promise.resolve({}));
  operator.offer(ref('t1'), { ...spec, credential: 'secret:db' });
  await eventually(() => expect(operator.results.get('t1/1')?.reason).toBe('SecretNotAllowed'));
  expect(bench.host.entered).toEqual([]);
  await eventually(() =>
    expect(operator.logs.get('t1/1')?.toString('latin1')).toContain('SecretNotAllowed Test.'),
  );
  expectDrained(await bench.drain());
});

interface VaultCall {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly token: string | string[] | undefined;
  readonly namespace: string | string[] | undefined;
}

/** A Vault that answers as the table says; what it was asked is kept. */
const startVault = async (answers: Readonly<Record<string, [number, unknown][]>>) => {
  const calls: VaultCall[] = [];
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { method, url, headers } = request;
    calls.push({ method, url, token: headers['x-vault-token'], namespace: headers['x-vault-namespace'] });
    const list = answers[`${method} ${url}`] ?? [];
    const [status, body] = (list.length > 1 ? list.shift() : list[0]) ?? [404, { errors: [] }];
    request.resume().on('end', () => response.writeHead(status).end(JSON.stringify(body)));
  };
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closeVault = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { calls, address: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
};

const grantFor = (address: string): VaultGrant => ({
  kind: 'Vault',
  address,
  vaultNamespace: 'team-a',
  authMount: 'outrider',
  role: 'prod',
  jwt: 'j.w.t',
  mount: 'kv',
  path: 'apps/db creds',
});

const login: Record<string, [number, unknown][]> = {
  'POST /v1/auth/outrider/login': [[200, { auth: { client_token: 'vault-token' } }]],
  'POST /v1/auth/token/revoke-self': [[204, {}]],
};
const secretPath = 'GET /v1/kv/data/apps/db%20creds';
const signal = new AbortController().signal;

test('Vault: logs in, reads, and revokes its token', async () => {
  const { calls, address } = await startVault({
    ...login,
    [secretPath]: [[200, { data: { data: { user: 'u' } } }]],
  });
  expect(await readVault(grantFor(address), { signal })).toEqual({ user: 'u' });
  expect(calls.map(({ method, url, token, namespace }) => [`${method} ${url}`, token, namespace])).toEqual([
    ['POST /v1/auth/outrider/login', undefined, 'team-a'],
    [secretPath, 'vault-token', 'team-a'],
    ['POST /v1/auth/token/revoke-self', 'vault-token', 'team-a'],
  ]);
});

test.each([
  [
    'a missing secret',
    [[404, { errors: [] }]],
    'SecretNotFound',
    'has no secret apps/db creds in the KV version 2 mount kv.',
  ],
  [
    'a forbidden secret',
    [[403, { errors: ['permission denied'] }]],
    'StoreDenied',
    '(status 403: permission denied)',
  ],
  [
    'a store that is sealed',
    [[503, { errors: ['Vault is sealed'] }]],
    'StoreUnreachable',
    'status 503: Vault is sealed',
  ],
  [
    'a number as a field',
    [[200, { data: { data: { port: 5432 } } }]],
    'CredentialInvalid',
    'Field port of the secret kv/apps/db creds',
  ],
] as const)('Vault: %s is %s, and the token is revoked all the same', async (_, answers, code, words) => {
  const { calls, address } = await startVault({
    ...login,
    [secretPath]: answers.map(([status, body]) => [status, body]),
  });
  await expect(readVault(grantFor(address), { signal })).rejects.toMatchObject({
    code,
    message: expect.stringContaining(words) as string,
  });
  expect(calls.at(-1)?.url).toBe('/v1/auth/token/revoke-self');
});

test('Vault: a 500 is tried again, and a refused login is said in its words', async () => {
  const path = 'POST /v1/auth/outrider/login';
  const { calls, address } = await startVault({
    [path]: [
      [500, {}],
      [502, {}],
      [400, { errors: ['invalid audience (aud) claim'] }],
    ],
  });
  await expect(readVault(grantFor(address), { signal })).rejects.toMatchObject({
    code: 'StoreDenied',
    message: `Vault at ${address} refused the login with role prod at auth/outrider (status 400: invalid audience (aud) claim).`,
  });
  expect(calls.length).toBe(3);
});

test('Vault: a path that would leave its mount is never asked for', async () => {
  const { calls, address } = await startVault(login);
  const grant = { ...grantFor(address), path: '../sys/raw' };
  await expect(readVault(grant, { signal })).rejects.toMatchObject({ code: 'StoreDenied' });
  expect(calls.some(({ method }) => method === 'GET')).toBe(false);
});
