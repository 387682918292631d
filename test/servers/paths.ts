import { homedir } from 'node:os';
import { join } from 'node:path';

/** The root of the checkout that this file belongs to. */
export const repositoryRoot = join(import.meta.dirname, '..', '..');

type Environment = Readonly<Record<string, string | undefined>>;

/** Folder of everything that is fetched or built once: `$OUTRIDER_CACHE`, else the user's cache folder. */
export function cacheFolder(env: Environment = process.env): string {
  return env['OUTRIDER_CACHE'] || join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'outrider');
}

/** Folder that describes what is running under `name`: `$OUTRIDER_STATE`, else the user's state folder. */
export function stateFolder(name: string, env: Environment = process.env): string {
  const root =
    env['OUTRIDER_STATE'] || join(env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'outrider');
  return join(root, name);
}
