import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { logins } from '../kube/resources.ts';
import { createAccessReview } from './access-review.ts';
import type { PortalIdentity } from './contract.ts';
import { TestKey, memoryKube } from './fixture.ts';
import { createFolderKeyStore } from './folder-key-store.ts';
import { loadKeyMaterial, type KeyMaterial } from './key-material.ts';
import { createPortalIdentity } from './portal.ts';

const start = Date.parse('2026-11-22T12:00:00Z');
const url = 'https://portal.example.com:8444/api/v1/token';
let folder: string;
let keys: KeyMaterial;
let now: number;
let kube: ReturnType<typeof memoryKube>;
let identity: PortalIdentity;
let key: TestKey;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'outrider-portal-'));
  keys = await loadKeyMaterial(createFolderKeyStore(folder), start);
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(async () => {
  now = start;
  kube = memoryKube();
  identity = createPortalIdentity({
    accessKey: keys.access,
    issuer: 'https://portal.example.com',
    kube: kube.kube,
    now: () => now,
  });
  key = (await TestKey.make(() => now)).useNonce(identity.nonce());
  kube.put(logins, 'team-a', {
    metadata: { name: 'ann-1', creationTimestamp: '2026-11-22T12:00:00Z' },
    spec: { username: 'ann', groups: ['dev', 'system:authenticated'], publicKey: key.x },
  });
});

const logIn = async (signer: TestKey = key, name = 'ann-1') => {
  const form = { ...(await signer.form(url)), login_namespace: 'team-a', login_name: name };
  return (await identity.issueToken(form, await signer.proof(url))).token;
};

describe('a Login', () => {
  it('gives the holder of its key a token of an hour for its user and groups', async () => {
    const token = await logIn();
    expect(token).toMatchObject({ token_type: 'DPoP', expires_in: 3600 });
    expect(await identity.authenticate(await key.proof(url, token.access_token))).toEqual({
      username: 'ann',
      groups: ['dev', 'system:authenticated'],
    });
  });

  it('gives nothing to another key', async () => {
    const thief = (await TestKey.make(() => now)).useNonce(identity.nonce());
    await expect(logIn(thief)).rejects.toMatchObject({ details: { oauthError: 'invalid_dpop_proof' } });
  });

  it('counts for five minutes', async () => {
    now = start + 300_000;
    key.useNonce(identity.nonce());
    await expect(logIn()).rejects.toMatchObject({
      code: 'Unauthenticated',
      message: 'The Login team-a/ann-1 is more than 5 minutes old.',
    });
  });

  it('that is not there is named', async () => {
    await expect(logIn(key, 'bob-1')).rejects.toMatchObject({ message: 'There is no Login team-a/bob-1.' });
    await expect(logIn(key, '../x')).rejects.toMatchObject({
      code: 'BadRequest',
      message: 'The request does not name its Login (login_namespace and login_name).',
    });
  });
});

describe('the review of access', () => {
  const access = { verb: 'get', resource: 'workflowruns', subresource: 'log', namespace: 'team-a' };
  const ann = { username: 'ann', groups: ['dev'] };

  it('asks the API server once in 10 s for each question, and again after it', async () => {
    const asked: unknown[] = [];
    const review = createAccessReview({
      now: () => now,
      kube: {
        request: async (call) => {
          asked.push(call);
          return { status: { allowed: true } };
        },
      },
    });
    const both = await Promise.all([review.allowed(ann, access), review.allowed(ann, access)]);
    expect(both).toEqual([true, true]);
    expect(asked).toEqual([
      {
        method: 'POST',
        path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
        body: {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SubjectAccessReview',
          spec: { user: 'ann', groups: ['dev'], resourceAttributes: { group: 'outrider.dev', ...access } },
        },
      },
    ]);
    await review.allowed({ ...ann, groups: [] }, access);
    expect(asked).toHaveLength(2);
    now += 10_000;
    await review.allowed(ann, access);
    expect(asked).toHaveLength(3);
  });

  it('does not take silence for a no, nor remember it', async () => {
    const answers = [new Error('connection refused'), { status: { allowed: false } }];
    const review = createAccessReview({
      now: () => now,
      kube: {
        request: async () => {
          const answer = answers.shift();
          if (answer instanceof Error) throw answer;
          return answer;
        },
      },
    });
    await expect(review.allowed(ann, access)).rejects.toMatchObject({
      code: 'Unavailable',
      message: 'The API server did not say whether ann may get workflowruns in team-a: connection refused',
    });
    expect(await review.allowed(ann, access)).toBe(false);
  });
});
