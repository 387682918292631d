import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { must, run } from './command.ts';
import { tcpAccepts } from './probes.ts';

/** Makes an ed25519 key pair, `name` and `name.pub`, and returns the path of the private one. */
export async function newKey(folder: string, name: string): Promise<string> {
  const file = join(folder, name);
  await must('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', file]);
  return file;
}

/** A server's host key in the forms that clients want. */
export interface HostKey {
  readonly publicKey: string;
  readonly fingerprint: string;
  readonly knownHosts: string;
}

/** Writes a new host key over the one that is there. */
export async function newHostKey(folder: string, host: string, port: number): Promise<HostKey> {
  const file = await newKey(folder, `host-${randomBytes(4).toString('hex')}`);
  const [type = '', key = ''] = readFileSync(`${file}.pub`, 'utf8').split(' ');
  const [, fingerprint = ''] = (await must('ssh-keygen', ['-lf', `${file}.pub`])).split(' ');
  renameSync(file, join(folder, 'host'));
  renameSync(`${file}.pub`, join(folder, 'host.pub'));
  const publicKey = `${type} ${key}`;
  return { publicKey, fingerprint, knownHosts: `[${host}]:${port} ${publicKey}\n` };
}

/**
 * The ed25519 host key that a server shows, or undefined if it does not answer. `inside` is the command that
 * enters the server's network namespace.
 */
export async function scan(
  inside: readonly string[],
  host: string,
  port: number,
): Promise<string | undefined> {
  if (inside.length === 0 && !(await tcpAccepts(host, port))) return undefined;
  const args = ['-T', '5', '-t', 'ed25519', '-p', String(port), host];
  const shown = (await run('env', [...inside, 'ssh-keyscan', ...args])).stdout;
  const words = shown
    .split('\n')
    .find((line) => line !== '' && !line.startsWith('#'))
    ?.split(' ');
  return words === undefined ? undefined : `${words[1]} ${words[2]}`;
}
