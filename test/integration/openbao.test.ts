import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import { request } from 'node:https';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startOpenBao, type OpenBao } from '../servers/openbao.ts';

const keys = generateKeyPairSync('ed25519', {
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
});
let openbao: OpenBao | undefined;

beforeAll(async () => {
  openbao = await startOpenBao();
  await openbao.enableKv('ops');
  await openbao.writeSecret('ops', 'prod/ssh', { password: 'p1' });
  await openbao.writePolicy('ops-read', 'path "ops/data/prod/*" { capabilities = ["read"] }');
  await openbao.enableJwt('jwt', [keys.publicKey], 'https://portal');
  await openbao.writeJwtRole('jwt', {
    name: 'runner',
    audience: 'openbao',
    policies: ['ops-read'],
    boundClaims: { namespace: ['payments'] },
  });
});
afterAll(() => openbao?.stop());

function server(): OpenBao {
  if (openbao === undefined) throw new Error('OpenBao did not start');
  return openbao;
}

function jwt(claims: Readonly<Record<string, string>>): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + 60;
  const text = `${part({ alg: 'EdDSA' })}.${part({ iss: 'https://portal', aud: 'openbao', exp, ...claims })}`;
  return `${text}.${sign(null, Buffer.from(text), createPrivateKey(keys.privateKey)).toString('base64url')}`;
}

/** A client's call over TLS, which trusts the server's own authority alone. */
async function call(path: string, token: string, body?: unknown): Promise<{ status: number; text: string }> {
  const method = body === undefined ? 'GET' : 'POST';
  const options = { method, ca: server().caPem, headers: { 'x-vault-token': token }, agent: false };
  return new Promise((resolve, reject) => {
    const sent = request(`${server().url}/v1/${path}`, options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.once('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    sent.once('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

test('the holder of a signed JWT reads what its policy names, and nothing else', async () => {
  const login = await call('auth/jwt/login', '', {
    role: 'runner',
    jwt: jwt({ sub: 'attempt-1', namespace: 'payments' }),
  });
  expect(login.status).toBe(200);
  const { auth } = JSON.parse(login.text) as { auth: { client_token: string; lease_duration: number } };
  expect(auth.lease_duration).toBe(60);
  const secret = await call('ops/data/prod/ssh', auth.client_token);
  expect(JSON.parse(secret.text)).toMatchObject({ data: { data: { password: 'p1' } } });
  expect((await call('ops/data/test/ssh', auth.client_token)).status).toBe(403);
});

test('a JWT for another namespace is refused, and the audit log tells both logins apart', async () => {
  const logins = (): boolean[] =>
    server()
      .audit()
      .filter(({ path }) => path === 'auth/jwt/login')
      .map(({ ok }) => ok);
  const before = logins().length;
  const login = async (namespace: string): Promise<number> =>
    (await call('auth/jwt/login', '', { role: 'runner', jwt: jwt({ sub: 'attempt-2', namespace }) })).status;
  expect(await login('payments')).toBe(200);
  expect(await login('elsewhere')).toBe(400);
  expect(logins().slice(before)).toEqual([true, false]);
});
