import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { printsVersion } from './binaries.ts';
import { requiredVersion } from './go-module.ts';
import { cacheFolder, stateFolder } from './paths.ts';
import { fillCache, takeLock } from './tool-cache.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outrider-cache-test-'));
  vi.spyOn(console, 'error').mockImplementation(() => {});
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

test('of several callers one fills the cache, and all get the program', async () => {
  const path = join(folder, 'tool-v1', 'tool');
  let fills = 0;
  const fill = async (temporary: string): Promise<void> => {
    fills += 1;
    expect(existsSync(path)).toBe(false);
    writeFileSync(temporary, 'program');
  };
  const answers = await Promise.all([1, 2, 3].map(() => fillCache(path, { announce: 'building', fill })));
  expect(answers).toEqual([path, path, path]);
  expect(fills).toBe(1);
  expect(readFileSync(path, 'utf8')).toBe('program');
  expect(statSync(path).mode & 0o777).toBe(0o755);
  expect(readdirSync(join(folder, 'tool-v1'))).toEqual(['tool']);
});

test('a build that fails leaves no program and no lock', async () => {
  const path = join(folder, 'tool');
  const fill = async (temporary: string): Promise<void> => {
    writeFileSync(temporary, 'half');
    throw new Error('out of disk');
  };
  await expect(fillCache(path, { announce: 'building', fill })).rejects.toThrow('out of disk');
  expect(existsSync(path)).toBe(false);
  expect(existsSync(join(folder, '.lock-tool'))).toBe(false);
});

test('the lock of a running process is respected, that of an ended one is taken away', () => {
  const lock = join(folder, '.lock');
  expect(takeLock(lock)).toBe(true);
  expect(takeLock(lock)).toBe(false);
  writeFileSync(lock, JSON.stringify({ pid: process.pid, startTime: 'of an earlier process' }));
  expect(takeLock(lock)).toBe(false);
  expect(takeLock(lock)).toBe(true);
});

test('a version is read from a go.mod, in a block or on a line of its own', () => {
  const goMod =
    'module m\n\nrequire k8s.io/kubernetes v1.36.3\n\nrequire (\n\thelm.sh/helm/v4 v4.3.1 // indirect\n)\n';
  expect(requiredVersion(goMod, 'k8s.io/kubernetes')).toBe('v1.36.3');
  expect(requiredVersion(goMod, 'helm.sh/helm/v4')).toBe('v4.3.1');
  expect(() => requiredVersion(goMod, 'k8s.io/api')).toThrow('go.mod requires no k8s.io/api');
});

test('only the very same version of a program on PATH will do', () => {
  expect(printsVersion('Client Version: v1.36.3\nKustomize Version: v5.7.1\n', 'v1.36.3')).toBe(true);
  expect(printsVersion('etcd Version: 3.6.4\nGit SHA: x\n', 'v3.6.4')).toBe(true);
  expect(printsVersion('Client Version: version.Info{GitVersion:"v1.20.5"}', 'v1.36.3')).toBe(false);
  expect(printsVersion('Client Version: v1.36.30\n', 'v1.36.3')).toBe(false);
  expect(printsVersion('Client Version: v1.36.3-rc.1\n', 'v1.36.3')).toBe(false);
  expect(printsVersion('etcd Version: 13.6.4\n', 'v3.6.4')).toBe(false);
});

test('cache and state folders follow the environment', () => {
  expect(cacheFolder({ OUTRIDER_CACHE: '/c', XDG_CACHE_HOME: '/x' })).toBe('/c');
  expect(cacheFolder({ XDG_CACHE_HOME: '/x' })).toBe('/x/outrider');
  expect(cacheFolder({})).toMatch(/\/\.cache\/outrider$/);
  expect(stateFolder('demo', { OUTRIDER_STATE: '/s' })).toBe('/s/demo');
  expect(stateFolder('demo', { XDG_STATE_HOME: '/x' })).toBe('/x/outrider/demo');
});
