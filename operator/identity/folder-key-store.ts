import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyBundle, KeyStore } from './key-store.ts';

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;

/** Keeps each bundle as one JSON file, mode 0600, in a folder of mode 0700: for an operator outside Kubernetes, and tests. */
export const createFolderKeyStore = (folder: string): KeyStore => {
  const load = async (name: string): Promise<KeyBundle | undefined> => {
    try {
      return parseBundle(await readFile(join(folder, `${name}.json`), 'utf8'), name);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw error;
    }
  };

  const save = async (name: string, data: KeyBundle): Promise<KeyBundle> => {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const draft = join(folder, `.${name}.${randomUUID()}`);
    const file = await open(draft, 'wx', 0o600);
    try {
      await file.writeFile(JSON.stringify(data));
      await file.sync();
    } finally {
      await file.close();
    }
    try {
      // A hard link fails where the name exists, so a bundle appears whole or not at all and is never replaced.
      await link(draft, join(folder, `${name}.json`));
      return data;
    } catch (error) {
      const winner = hasCode(error, 'EEXIST') ? await load(name) : undefined;
      if (!winner) throw error;
      return winner;
    } finally {
      await rm(draft, { force: true });
    }
  };

  return { load, save };
};

const parseBundle = (text: string, name: string): KeyBundle => {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null)
    throw new Error(`The key bundle ${name} is not a JSON object.`);
  const entries = Object.entries(value).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  return Object.fromEntries(entries);
};
