import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApiFixture, nothing } from '@outrider/operator/runner-api/fixture';
import { createRunnerApi, type RunnerApi } from '@outrider/runner/agent/api';
import { loadCa } from '@outrider/runner/agent/ca';
import { createTransport, type Transport } from '@outrider/runner/agent/http';
import { loadKey } from '@outrider/runner/agent/key';
import { register } from '@outrider/runner/agent/register';
import { createAuthorizer } from '@outrider/runner/agent/token';
import { formatRegistrationToken, parseRegistrationToken, protocolVersion } from '@outrider/protocol';

const signal = new AbortController().signal;
const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
let server: ApiFixture;
let stateDir: string;
let transport: Transport;
let api: RunnerApi;
let clientId: string;

const newToken = async (): Promise<string> => {
  const { identity } = server.fixture;
  const request = { namespace: 'team-a', tags: ['linux'], local: false, createdBy: 'ann' };
  const { token } = await identity.createRegistrationToken(request);
  return formatRegistrationToken({ ...parseRegistrationToken(token), url: server.api.url });
};

const joinWith = (token: string, folder: string) =>
  register({ token, name: 'edge-2', stateDir: folder, proxy: {}, logger, stop: signal, patienceMs: 0 });

beforeAll(async () => {
  server = await ApiFixture.start();
  stateDir = await mkdtemp(join(tmpdir(), 'outrider-runner-'));
});
afterAll(async () => {
  await transport.close();
  await server.stop();
  await rm(stateDir, { recursive: true });
});

test('a runner joins, pinning the CA of its token', async () => {
  const token = await newToken();
  const joined = await joinWith(token, stateDir);
  expect(joined).toMatchObject({ namespace: 'team-a', name: 'edge-2', tags: ['linux'], url: server.api.url });
  clientId = joined.clientId;
  expect(await joinWith(token, stateDir)).toEqual(joined);
  await expect(joinWith(token, join(stateDir, 'other'))).rejects.toMatchObject({
    code: 'RegistrationTokenUsed',
  });
});

test('its signed requests are accepted, the nonce asked for on the way', async () => {
  const key = await loadKey(stateDir);
  const ca = await loadCa({ stateDir });
  if (!key || ca === undefined) throw new Error('the runner has not joined');
  transport = createTransport({ url: server.api.url, ca });
  api = createRunnerApi(createAuthorizer({ transport, key, clientId }));
  const session = await api.openSession(
    {
      protocolVersion,
      version: '0.1.0',
      startedAt: new Date().toISOString(),
      capacity: 1,
      nodes: ['ssh-exec'],
      inventory: [],
    },
    signal,
  );
  expect(session).toMatchObject({ session: 's1', generation: 'g1' });
});

const poll = () =>
  api.poll(
    { session: 's1', generation: 'g1', capacity: 1, load: 0, held: [], now: new Date().toISOString() },
    signal,
  );

test('its poll is held and answered', async () => {
  const answer = poll();
  await server.dispatch.until(() => server.dispatch.open === 1);
  server.dispatch.answer(clientId, nothing);
  expect(await answer).toEqual(nothing);
});

test('its open poll is cut when it is revoked, and it gets no further token', async () => {
  const answer = poll();
  await server.dispatch.until(() => server.dispatch.open === 1);
  await server.fixture.ledger.revokeRunnerIdentity({ clientId, now: Date.now() });
  server.fixture.identity.revoked(clientId);
  server.dispatch.revoke(clientId);
  await expect(answer).rejects.toMatchObject({ code: 'RunnerRevoked' });
  await expect(poll()).rejects.toMatchObject({ code: 'RunnerRevoked' });
});
