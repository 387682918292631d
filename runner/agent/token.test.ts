import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { paths } from '@outrider/protocol';
import type { HttpRequest, LaneName } from './http.ts';
import { createKey } from './key.ts';
import { createAuthorizer } from './token.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'token-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** Replicas with a nonce each; `route` says which one a request reaches. */
const startReplicas = async (route: (request: HttpRequest) => number) => {
  const requests: string[] = [];
  const clock = { now: 0 };
  const key = await createKey(folder);
  const authorizer = createAuthorizer({
    key,
    clientId: 'client',
    now: () => clock.now,
    transport: {
      url: 'https://operator',
      close: async () => undefined,
      send: async (request) => {
        const nonce = `nonce-${route(request)}`;
        const proof = decodeJwt(request.headers?.['dpop'] ?? '');
        const isRight = proof['nonce'] === nonce;
        requests.push(`${request.lane} ${isRight ? 'taken' : 'refused'}`);
        const body = request.path === paths.token ? { access_token: 'token', expires_in: 300 } : {};
        return {
          status: isRight ? 200 : 401,
          headers: { 'dpop-nonce': nonce },
          text: JSON.stringify(isRight ? body : { error: 'use_dpop_nonce' }),
        };
      },
    },
  });
  const post = async (lane: LaneName) =>
    (await authorizer.post({ lane, path: '/x', headers: {}, body: '' })).status;
  return { post, requests, clock };
};

test('lanes that reach replicas of their own ask each for a nonce once', async () => {
  const { post, requests } = await startReplicas(({ lane }) =>
    ['poll', 'control', 'reports', 'logs'].indexOf(lane),
  );
  for (const lane of ['poll', 'logs', 'poll', 'logs'] as const) expect(await post(lane)).toBe(200);
  expect(requests).toEqual([
    'control refused',
    'control taken',
    'poll refused',
    'poll taken',
    'logs refused',
    'logs taken',
    'poll taken',
    'logs taken',
  ]);
});

test('a repetition that reaches another replica is repeated again', async () => {
  let reached = 0;
  const { post } = await startReplicas(({ path }) => (path === paths.token ? 0 : Math.min(reached++, 3)));
  expect(await post('control')).toBe(200);
});

test('a server that asks for ever new nonces is answered with its refusal', async () => {
  let reached = 0;
  const { post } = await startReplicas(({ path }) => (path === paths.token ? 0 : ++reached));
  expect(await post('control')).toBe(401);
  expect(reached).toBe(10);
});

test('a token is renewed at half its life between two polls, over their connection', async () => {
  const { post, requests, clock } = await startReplicas(() => 0);
  await post('poll');
  requests.length = 0;
  clock.now = 149_999;
  await post('reports');
  clock.now = 150_000;
  await post('reports');
  await expect.poll(() => requests.filter((each) => each === 'poll taken')).toHaveLength(1);
  expect(requests.filter((each) => each.startsWith('control'))).toEqual([]);
  clock.now = 290_000;
  await post('reports');
  expect(requests.filter((each) => each === 'poll taken')).toHaveLength(1);
});
