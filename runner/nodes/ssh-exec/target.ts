import { OutriderError } from '@outrider/protocol';
import type { SshAuth } from '@outrider/transports/ssh-auth';
import type { SshOptions } from '@outrider/transports/ssh-connection';
import { readFile } from 'node:fs/promises';
import type { TaskContext } from '../contract.ts';

/** Where and as whom to log in. Throws what the user has to add. */
export async function sshOptions(context: TaskContext): Promise<SshOptions> {
  const { connection, spec, machine } = context;
  const { host, port = 22 } = connection;
  if (host === undefined) {
    throw new OutriderError({
      code: 'TargetNotFound',
      message: `Step ${spec.step} has no host to act on.`,
      action: 'Set target.host, or name a Target of type SSH.',
    });
  }
  const auth = authOf(context);
  const user = connection.user ?? context.credential?.['username']?.trim();
  if (user === undefined || user === '') throw userMissing(host);
  const pinned = connection.hostKey;
  const knownHostsFile = machine.knownHostsFile;
  const knownHosts = pinned === undefined ? await readKnownHosts(knownHostsFile) : undefined;
  return {
    host,
    port,
    user,
    auth,
    hostKey: { host, port, pinned, knownHosts, knownHostsFile, learn: learnerOf(context, host, port) },
  };
}

/** A pinned key is the last word, whatever the policy. */
function learnerOf(
  context: TaskContext,
  host: string,
  port: number,
): ((key: string) => Promise<string>) | undefined {
  const { hostKey, hostKeyPolicy } = context.connection;
  if (hostKey !== undefined || hostKeyPolicy !== 'AcceptNew') return undefined;
  return (key) => context.learnHostKey({ host, port, key });
}

function authOf({ credential, spec }: TaskContext): SshAuth {
  if (credential === undefined)
    throw credentialInvalid(`Step ${spec.step} has no credential to log in with.`);
  const { passphrase, password } = credential;
  const privateKey = credential['ssh-privatekey'] ?? credential['privateKey'];
  if (privateKey !== undefined || password !== undefined)
    return { name: spec.credential, privateKey, passphrase, password };
  const fields = Object.keys(credential).join(', ') || 'none';
  throw credentialInvalid(
    `The credential ${spec.credential ?? ''} has no key and no password; its fields are: ${fields}.`,
  );
}

const credentialInvalid = (message: string): OutriderError =>
  new OutriderError({
    code: 'CredentialInvalid',
    message,
    action: 'Give it the field ssh-privatekey (or privateKey) or the field password.',
  });

const userMissing = (host: string): OutriderError =>
  new OutriderError({
    code: 'UserMissing',
    message: `No user is given for the login on ${host}.`,
    action: 'Set target.user, or add the field username to the credential.',
  });

/** A file that is not there knows no host, as with ssh. */
async function readKnownHosts(file: string | undefined): Promise<string> {
  if (file === undefined) return '';
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  }
}
