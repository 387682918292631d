import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cacheFolder, createTokenCache, type Session } from './token-cache.ts';

const session: Session = {
  accessToken: 'token',
  expiresAt: 1,
  key: { kty: 'OKP', crv: 'Ed25519', x: 'x', d: 'd' },
};
let home: string;
let folder: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'outrider-cache-'));
  folder = cacheFolder({ XDG_CACHE_HOME: home });
});
afterEach(() => rm(home, { recursive: true }));

const onlyFile = async (): Promise<string> => join(folder, (await readdir(folder)).join());

test('a session is kept in a file that its owner alone may read', async () => {
  const cache = createTokenCache(folder, ['server', 'portal']);
  await cache.write(session);
  expect(await cache.read()).toEqual(session);
  expect((await stat(await onlyFile())).mode & 0o777).toBe(0o600);
  expect((await stat(folder)).mode & 0o777).toBe(0o700);
  await cache.drop();
  expect(await cache.read()).toBeUndefined();
});

test('a session is of one user and one portal', async () => {
  await createTokenCache(folder, ['server', 'portal']).write(session);
  expect(await createTokenCache(folder, ['server', 'other']).read()).toBeUndefined();
});

test('a file that others may read, or that is spoilt, is not used', async () => {
  const cache = createTokenCache(folder, ['server']);
  await cache.write(session);
  const file = await onlyFile();
  await chmod(file, 0o640);
  expect(await cache.read()).toBeUndefined();
  await chmod(file, 0o600);
  await writeFile(file, '{"accessToken": "token"');
  expect(await cache.read()).toBeUndefined();
});

test('where nothing can be written, the program goes on without', async () => {
  await writeFile(join(home, 'outrider'), 'a file in the place of the folder');
  const cache = createTokenCache(folder, ['server']);
  await cache.write(session);
  expect(await cache.read()).toBeUndefined();
});

test('the folder is in the cache of the user', () => {
  expect(cacheFolder({ HOME: '/home/ann' })).toBe('/home/ann/.cache/outrider');
  expect(cacheFolder({ HOME: '/home/ann', XDG_CACHE_HOME: '' })).toBe('/home/ann/.cache/outrider');
});
