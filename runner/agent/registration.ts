import { join } from 'node:path';
import { OutriderError, type RegisterResponse } from '@outrider/protocol';
import { readIfThere, writeDurably } from './files.ts';

/** What this runner was told when it joined. */
export interface Registration extends RegisterResponse {
  /** Runner API that it joined at. */
  readonly url: string;
}

const fileName = 'registration.json';

const isRegistration = (value: unknown): value is Registration =>
  typeof value === 'object' &&
  value !== null &&
  ['url', 'namespace', 'name', 'uid', 'clientId'].every(
    (name) => typeof Reflect.get(value, name) === 'string',
  );

/** Undefined before the runner has joined. */
export const loadRegistration = async (stateDir: string): Promise<Registration | undefined> => {
  const path = join(stateDir, fileName);
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (isRegistration(value)) return value;
  } catch {
    // Falls through: an unreadable file and one of another shape mean the same.
  }
  throw new OutriderError({
    code: 'Internal',
    message: `The file ${path} is damaged.`,
    action: 'Register again with `outrider-runner register` and a new registration token; the key stays.',
  });
};

export const storeRegistration = (stateDir: string, registration: Registration): Promise<void> =>
  writeDurably(join(stateDir, fileName), `${JSON.stringify(registration, null, 2)}\n`);
