import { statSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { formatRegistrationToken, paths } from '@outrider/protocol';
import { keyHash } from './ca.ts';
import { register, type RegisterOptions } from './register.ts';
import { loadRegistration } from './registration.ts';
import { memoryLogger } from './testing/bench.ts';
import { makeCertificates } from './testing/certificates.ts';
import { TestOperator } from './testing/operator.ts';

let operator: TestOperator;
let stateDir: string;

beforeEach(async () => {
  operator = await TestOperator.start();
  stateDir = await mkdtemp(join(tmpdir(), 'runner-'));
});
afterEach(async () => {
  await operator.stop();
  await rm(stateDir, { recursive: true, force: true });
});

const options = (): RegisterOptions => ({
  token: operator.token,
  name: 'runner-1',
  stateDir,
  proxy: {},
  logger: memoryLogger(),
  stop: new AbortController().signal,
});

test('the key is on disk, readable by its owner alone, before the operator hears of it', async () => {
  let mode = 0;
  operator.fault = (path) => {
    if (path === paths.register) mode = statSync(join(stateDir, 'key.json')).mode & 0o777;
    return undefined;
  };
  const registration = await register({ ...options(), tags: ['web'] });
  expect(registration).toEqual({
    namespace: 'prod',
    name: 'runner-1',
    uid: 'u1',
    clientId: 'client-1',
    tags: ['web'],
    url: operator.url,
  });
  expect(mode).toBe(0o600);
  expect((await stat(stateDir)).mode & 0o777).toBe(0o700);
  expect(await readFile(join(stateDir, 'ca.pem'), 'utf8')).toBe(operator.certificates.ca);
  expect(await loadRegistration(stateDir)).toEqual(registration);
});

test('a lost answer is asked for again with the same key', async () => {
  operator.fault = (path, n) => (path === paths.register && n === 1 ? 'lose' : undefined);
  await register(options());
  expect(operator.registrations).toBe(2);
});

test('a token that another key has used is refused', async () => {
  await register(options());
  await rm(join(stateDir, 'key.json'));
  await expect(register(options())).rejects.toMatchObject({
    code: 'RegistrationTokenUsed',
    message: 'The token was used by another key.',
  });
});

test('a CA whose key is not the one in the token is refused, with both hashes, before any secret is sent', async () => {
  const other = keyHash((await makeCertificates()).ca);
  const token = formatRegistrationToken({
    url: operator.url,
    secret: 'secret-of-the-token',
    caKeyHash: other,
  });
  const shown = keyHash(operator.certificates.ca);
  await expect(register({ ...options(), token })).rejects.toMatchObject({
    code: 'CertificateMismatch',
    message: `The CA that ${operator.url} shows is not the one of the registration token: its key hash is ${shown}, the token says ${other}.`,
  });
  expect(operator.registrations).toBe(0);
});

test('OUTRIDER_CA_FILE overrides the CA of the token', async () => {
  const caFile = join(stateDir, 'own-ca.pem');
  await writeFile(caFile, operator.certificates.ca);
  const token = formatRegistrationToken({
    url: operator.url,
    secret: 'secret-of-the-token',
    caKeyHash: 'unused',
  });
  await register({ ...options(), token, caFile });
  expect(operator.registrations).toBe(1);
});

test('a CA file that did not sign the certificate is a mismatch', async () => {
  const caFile = join(stateDir, 'own-ca.pem');
  await writeFile(caFile, (await makeCertificates()).ca);
  await expect(register({ ...options(), caFile })).rejects.toMatchObject({ code: 'CertificateMismatch' });
  expect(operator.registrations).toBe(0);
});

test('a token that was cut is refused without a call', async () => {
  const token = operator.token.slice(0, -20);
  await expect(register({ ...options(), token })).rejects.toMatchObject({ code: 'RegistrationTokenInvalid' });
});

test('an operator that does not answer is named as unreachable when patience ends', async () => {
  const { url } = operator;
  const token = operator.token;
  await operator.stop();
  await expect(register({ ...options(), token, patienceMs: 50 })).rejects.toMatchObject({
    code: 'OperatorUnreachable',
    message: expect.stringContaining(`No answer from ${url}: connect ECONNREFUSED`) as string,
  });
  operator = await TestOperator.start();
});
