import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { portalPaths } from '@outrider/portal';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Board } from '../dispatch/board.ts';
import { Sessions } from '../dispatch/sessions.ts';
import { startIdentity, type IdentityFixture } from '../identity/fixture.ts';
import { createPortalIdentity } from '../identity/portal.ts';
import type { Cache, KubeObject } from '../kube/contract.ts';
import { openSqliteLogStore } from '../logs/open.ts';
import type { LogStore } from '../logs/contract.ts';
import { startPortalApi, type PortalApi } from './server.ts';

const nothing = <T extends KubeObject>(): Cache<T> => ({
  synced: Promise.resolve(),
  get: () => undefined,
  list: () => [],
  onChange: () => () => undefined,
});
const silent = () => undefined;

let fixture: IdentityFixture;
let folder: string;
let logs: LogStore;
let portal: PortalApi;

beforeAll(async () => {
  fixture = await startIdentity();
  folder = await mkdtemp(join(tmpdir(), 'outrider-portal-'));
  logs = await openSqliteLogStore({ dir: folder });
  const now = (): number => fixture.clock.now;
  portal = await startPortalApi({
    host: '127.0.0.1',
    port: 0,
    identity: createPortalIdentity({
      accessKey: fixture.keys.access,
      issuer: 'https://portal.example.com',
      kube: fixture.kube.kube,
      now,
    }),
    runnerIdentity: fixture.identity,
    access: { allowed: async () => false },
    sources: {
      runs: nothing(),
      runners: nothing(),
      directory: new Sessions({ runners: nothing(), onlineMs: 45_000, now }),
      ledger: fixture.ledger,
      logs,
      board: new Board(),
    },
    runnerApiUrl: 'https://runners.example.com:8443',
    operatorNamespace: 'outrider-system',
    logger: { debug: silent, info: silent, warn: silent, error: silent },
    now,
  });
});
afterAll(async () => {
  await portal.close();
  await logs.close();
  await fixture.close();
  await rm(folder, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const readAnswer = async (answer: IncomingMessage): Promise<Answer> => {
  const parts: string[] = [];
  for await (const part of answer.setEncoding('utf8')) parts.push(String(part));
  return { status: answer.statusCode ?? 0, body: JSON.parse(parts.join('')) };
};

const call = (path: string, options: { headers?: Record<string, string>; body?: string } = {}) =>
  new Promise<Answer>((resolve, reject) => {
    const { headers = {}, body } = options;
    const { caPem: ca } = fixture.authority;
    const target = { host: '127.0.0.1', port: portal.port, path, ca, servername: 'localhost' };
    const sent = httpsRequest({ ...target, method: body === undefined ? 'GET' : 'POST', headers });
    sent.on('response', (answer) => resolve(readAnswer(answer)));
    sent.on('error', reject).end(body);
  });

describe('whoever is not known yet', () => {
  test.each([
    '/api/v1/namespaces/payments/workflowruns',
    '/api/v1/namespaces/payments/workflowruns/restart-1',
    '/api/v1/namespaces/payments/workflowruns/restart-1/log',
    '/api/v1/namespaces/payments/workflowruns/restart-1/log?follow=true',
    '/api/v1/namespaces/payments/workflowruns/restart-1/log/raw',
    '/api/v1/namespaces/payments/runners',
  ])('is refused %s', async (path) => {
    expect(await call(path)).toMatchObject({
      status: 401,
      body: { message: 'The request carries no access token (Authorization: DPoP …).' },
    });
  });

  test('cannot make the operator read a large body', async () => {
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ tags: ['x'.repeat(70_000)] });
    const path = '/api/v1/namespaces/payments/registrationtokens';
    expect(await call(path, { headers, body })).toMatchObject({
      status: 413,
      body: { code: 'PayloadTooLarge' },
    });
  });

  test('cannot show what was signed for another server', async () => {
    expect(await call(portalPaths.openapi, { headers: { host: 'evil.example' } })).toMatchObject({
      status: 400,
      body: {
        message:
          'The request is for the host evil.example, which is not a name in the certificate of this operator.',
      },
    });
  });

  test('needs TLS 1.3', async () => {
    const socket = connect({
      host: '127.0.0.1',
      port: portal.port,
      ca: fixture.authority.caPem,
      maxVersion: 'TLSv1.2',
    });
    const error = await new Promise((resolve) =>
      socket.once('error', resolve).once('secureConnect', resolve),
    );
    expect(error).toMatchObject({ code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' });
    socket.destroy();
  });
});
