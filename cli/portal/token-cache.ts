import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { jsonObject } from '../http.ts';
import { mapping } from '../kube/values.ts';
import type { PrivateJwk } from './key.ts';

/** An access token of the portal with the key that it is bound to. */
export interface Session {
  readonly accessToken: string;
  /** Milliseconds since the Unix epoch. */
  readonly expiresAt: number;
  readonly key: PrivateJwk;
}

/** Sessions of earlier calls, so that a command every few seconds makes one Login an hour. */
export interface TokenCache {
  read(): Promise<Session | undefined>;
  /** Does its best: without a cache the next call logs in again. */
  write(session: Session): Promise<void>;
  drop(): Promise<void>;
}

const parse = (text: string): Session | undefined => {
  const { accessToken, expiresAt, key } = jsonObject(text);
  const { kty, crv, x, d } = mapping(key);
  const whole =
    typeof accessToken === 'string' &&
    typeof expiresAt === 'number' &&
    typeof x === 'string' &&
    typeof d === 'string';
  if (!whole || kty !== 'OKP' || crv !== 'Ed25519') return undefined;
  return { accessToken, expiresAt, key: { kty, crv, x, d } };
};

/** Another user of the machine who could write it could choose whom we speak for; who could read it could speak as us. */
const isPrivate = async (path: string): Promise<boolean> => {
  const { mode, uid } = await stat(path);
  return (mode & 0o077) === 0 && (process.getuid === undefined || uid === process.getuid());
};

export const cacheFolder = (env: Readonly<Record<string, string | undefined>>): string =>
  join(env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache'), 'outrider');

/** A file of mode 0600, named by the hash of whom it is for and whom it is to be shown to. */
export const createTokenCache = (folder: string, identity: readonly string[]): TokenCache => {
  const name = createHash('sha256').update(JSON.stringify(identity)).digest('hex');
  const path = join(folder, `${name}.json`);
  return {
    read: async () => {
      try {
        return (await isPrivate(path)) ? parse(await readFile(path, 'utf8')) : undefined;
      } catch {
        return undefined;
      }
    },
    write: async (session) => {
      const draft = `${path}.${randomUUID()}`;
      try {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        await writeFile(draft, JSON.stringify(session), { mode: 0o600, flag: 'wx' });
        await rename(draft, path);
      } catch {
        await rm(draft, { force: true }).catch(() => undefined);
      }
    },
    drop: () => rm(path, { force: true }).catch(() => undefined),
  };
};
