import { once } from 'node:events';
import { connect } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeLogBatch, logBatchType, paths, protocolVersion } from '@outrider/protocol';
import { version } from '../version.ts';
import { ApiFixture, nothing } from './fixture.ts';

let server: ApiFixture;

beforeEach(async () => {
  server = await ApiFixture.start();
});
afterEach(() => server.stop());

describe('the transport', () => {
  it('speaks TLS 1.3 and refuses TLS 1.2', async () => {
    const options = { host: '127.0.0.1', port: server.api.port, ca: server.fixture.identity.caPem };
    const old = connect({ ...options, maxVersion: 'TLSv1.2' });
    const [error] = await once(old, 'error');
    expect(error.code).toBe('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
    const current = connect(options);
    await once(current, 'secureConnect');
    expect(current.getProtocol()).toBe('TLSv1.3');
    current.destroy();
  });

  it('goes on with a renewed certificate without a restart', async () => {
    const before = server.fixture.identity.tls.cert;
    server.fixture.clock.now += 80 * 86_400_000;
    await server.fixture.authority.check();
    expect(server.fixture.identity.tls.cert).not.toBe(before);
    const socket = connect({
      host: '127.0.0.1',
      port: server.api.port,
      ca: server.fixture.identity.caPem,
      rejectUnauthorized: false,
    });
    await once(socket, 'secureConnect');
    expect(socket.getPeerX509Certificate()?.toString()).toBe(server.fixture.identity.tls.cert);
    socket.destroy();
  });

  it('gives the CA to anybody', async () => {
    const answer = await server.call(paths.ca, { method: 'GET' });
    expect(answer).toMatchObject({ status: 200, text: server.fixture.identity.caPem });
    expect(answer.headers['dpop-nonce']).toBe(server.fixture.identity.nonce());
  });

  it('refuses a request for a host that is not in its certificate', async () => {
    const answer = await server.call(paths.ca, { method: 'GET', headers: { host: 'evil.example.com' } });
    expect(answer).toMatchObject({ status: 400, body: { code: 'BadRequest' } });
  });
});

describe('identity', () => {
  it('refuses a request without a token with a challenge and a nonce', async () => {
    const answer = await server.call(paths.session, {
      body: '{}',
      headers: { 'content-type': 'application/json' },
    });
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('DPoP algs="EdDSA", error="invalid_token"');
    expect(answer.body).toEqual({
      code: 'Unauthenticated',
      message: 'The request carries no access token (Authorization: DPoP …).',
      action: 'Get one from the token endpoint and send it with a DPoP proof.',
    });
  });

  it('asks for its nonce, at the token endpoint in the words of RFC 6749', async () => {
    server.key.useNonce('');
    const atToken = await server.getToken();
    expect(atToken).toMatchObject({
      status: 400,
      body: {
        error: 'use_dpop_nonce',
        error_description: expect.any(String),
        code: 'Unauthenticated',
        action: expect.any(String),
      },
    });
    const atPoll = await server.poll();
    expect(atPoll.status).toBe(401);
    expect(atPoll.headers['www-authenticate']).toContain('error="use_dpop_nonce"');
    server.key.useNonce(String(atPoll.headers['dpop-nonce']));
    expect((await server.getToken()).status).toBe(200);
  });

  it('says which field of a registration is wrong, and limits how often one may try', async () => {
    const send = () =>
      server.call(paths.register, { body: '{"name":"a"}', headers: { 'content-type': 'application/json' } });
    expect(await send()).toMatchObject({
      status: 400,
      body: { code: 'BadRequest', message: expect.stringContaining("must have required property 'secret'") },
    });
    const answers = await Promise.all(Array.from({ length: 130 }, send));
    const limited = answers.find((answer) => answer.status === 429);
    expect(limited?.body).toMatchObject({ code: 'TooManyRequests' });
    expect(limited?.headers['retry-after']).toBeDefined();
  });
});

describe('a poll', () => {
  it('is held with white space and answered with one JSON object', async () => {
    const { status, text, body } = await server.poll({
      onText: (soFar) => {
        if (soFar === '  ') server.dispatch.answer(server.key.thumbprint, nothing);
      },
    });
    expect(status).toBe(200);
    expect(text).toMatch(/^ {2,}\{/);
    expect(body).toEqual(nothing);
  });

  it('of a runner that is revoked is cut, and the next one refused', async () => {
    const answer = server.poll();
    await server.dispatch.until(() => server.dispatch.open === 1);
    server.fixture.identity.revoked(server.key.thumbprint);
    server.dispatch.revoke(server.key.thumbprint);
    expect(await answer).toMatchObject({ status: 403, body: { code: 'RunnerRevoked' } });
    expect(await server.poll()).toMatchObject({ status: 403, body: { code: 'RunnerRevoked' } });
  });

  it('says an error after the first byte inside its answer', async () => {
    const { status, text, body } = await server.poll({
      onText: (soFar) => {
        if (soFar === ' ') server.dispatch.revoke(server.key.thumbprint);
      },
    });
    expect(status).toBe(200);
    expect(text.startsWith(' ')).toBe(true);
    expect(body).toEqual({
      ...nothing,
      error: { code: 'RunnerRevoked', message: 'It was revoked.', action: 'Join again.' },
    });
  });

  it('is given up when its client goes away', async () => {
    const gone = new AbortController();
    const answer = server.poll({ signal: gone.signal });
    await server.dispatch.until(() => server.dispatch.open === 1);
    gone.abort();
    await expect(answer).rejects.toThrow('aborted');
    await server.dispatch.until(() => server.dispatch.aborted === 1);
  });

  it('is answered with nothing when the server stops, at once', async () => {
    const answer = server.poll();
    await server.dispatch.until(() => server.dispatch.open === 1);
    const start = performance.now();
    await server.api.close();
    expect(performance.now() - start).toBeLessThan(10_000);
    expect((await answer).body).toEqual(nothing);
  });
});

describe('messages', () => {
  const session = {
    protocolVersion,
    version: '0.1.0',
    startedAt: '2026-11-22T12:00:00Z',
    capacity: 1,
    nodes: [],
    inventory: [],
  };

  it('of this protocol version are taken, of another one refused', async () => {
    expect(await server.signed(paths.session, { body: JSON.stringify(session) })).toMatchObject({
      status: 200,
      body: { session: 's1' },
    });
    const newer = JSON.stringify({ ...session, version: '0.9.0', protocolVersion: 3, shape: 'new' });
    expect(await server.signed(paths.session, { body: newer })).toMatchObject({
      status: 400,
      body: {
        code: 'ProtocolVersionUnsupported',
        message: `The runner (release 0.9.0) speaks version 3 of the runner protocol, this operator (release ${version}) version 2 only.`,
        action: 'Upgrade the operator to release 0.9.0, and its runners after it.',
        details: { supported: [2] },
      },
    });
    const older = JSON.stringify({ ...session, version: '0.0.9', protocolVersion: 1 });
    expect(await server.signed(paths.session, { body: older })).toMatchObject({
      status: 400,
      body: {
        code: 'ProtocolVersionUnsupported',
        message: `The runner (release 0.0.9) speaks version 1 of the runner protocol, this operator (release ${version}) version 2 only.`,
        action: `Upgrade the runner to release ${version}; it keeps its key, its registration and its journal.`,
      },
    });
  });

  it('with unknown fields or converted types are refused', async () => {
    const unknown = await server.signed(paths.session, { body: JSON.stringify({ ...session, more: 1 }) });
    expect(unknown).toMatchObject({ status: 400, body: { code: 'BadRequest' } });
    const text = await server.signed(paths.session, { body: JSON.stringify({ ...session, capacity: '1' }) });
    expect(text).toMatchObject({
      status: 400,
      body: { message: expect.stringContaining('capacity must be integer') },
    });
  });

  it('of a recovery and about host keys are checked and passed on', async () => {
    const envelope = { session: 's1', generation: 'g1' };
    const handIn = JSON.stringify({ ...envelope, items: [], complete: true });
    expect(await server.signed(paths.recovery, { body: handIn })).toMatchObject({
      status: 200,
      body: { accepted: 0 },
    });
    const told = { ...envelope, task: 't1', epoch: 1, host: 'web-1', port: 22, key: 'ssh-ed25519 AAAA' };
    expect(await server.signed(paths.hostKeys, { body: JSON.stringify(told) })).toMatchObject({
      status: 200,
      body: { key: told.key, learned: true },
    });
    const wrong = JSON.stringify({ ...told, port: 0 });
    expect(await server.signed(paths.hostKeys, { body: wrong })).toMatchObject({
      status: 400,
      body: { code: 'BadRequest', message: expect.stringContaining('port must be >= 1') },
    });
    expect(await server.call(paths.recovery, { body: handIn })).toMatchObject({ status: 401 });
  });

  it('that are too large are refused', async () => {
    const body = JSON.stringify({ ...session, version: 'x'.repeat(1_100_000) });
    expect(await server.signed(paths.session, { body })).toMatchObject({
      status: 413,
      body: { code: 'PayloadTooLarge' },
    });
  });

  it('that fail unexpectedly tell the caller nothing of the inside', async () => {
    const body = JSON.stringify({ session: 's1', generation: 'g1', attempts: [] });
    const answer = await server.signed(paths.accept, { body });
    expect(answer).toMatchObject({ status: 500, body: { code: 'Internal' } });
    expect(answer.text).not.toContain('disk');
  });

  it('of logs arrive as bytes, under the generation of the ledger', async () => {
    const chunk = { task: 't1', epoch: 1, offset: 0, bytes: new Uint8Array([1, 2, 3]) };
    const body = encodeLogBatch([chunk]);
    const headers = { 'content-type': logBatchType, 'outrider-session': 's1', 'outrider-generation': 'g1' };
    expect(await server.signed(paths.logs, { body, headers })).toMatchObject({
      status: 200,
      body: { attempts: [{ task: 't1', epoch: 1, offset: 0 }] },
    });
    expect(server.dispatch.logged.map((each) => [...each.bytes])).toEqual([[1, 2, 3]]);
    expect(
      await server.signed(paths.logs, { body, headers: { ...headers, 'outrider-generation': 'g0' } }),
    ).toMatchObject({
      status: 409,
      body: { code: 'GenerationMismatch' },
    });
    expect(await server.signed(paths.logs, { body: body.subarray(0, 9), headers })).toMatchObject({
      status: 400,
      body: { code: 'BadRequest', message: 'The request was refused: the body is not a log batch.' },
    });
  });

  it('to a path that does not exist get an answer that helps', async () => {
    expect(await server.call('/x', { method: 'GET' })).toMatchObject({
      status: 404,
      body: { code: 'NotFound', message: 'The runner API has no GET /x.' },
    });
  });
});
