import { OutriderError } from '@outrider/protocol';
import ssh2 from 'ssh2';
import type { AnyAuthMethod, ParsedKey } from 'ssh2';

/** The secret half of a login. At least one of key and password. */
export interface SshAuth {
  /** How messages call it, such as `secret:prod-ssh`. */
  readonly name?: string | undefined;
  readonly privateKey?: string | undefined;
  readonly passphrase?: string | undefined;
  readonly password?: string | undefined;
}

/** Checks the credential before anything is sent. Throws CredentialInvalid, without any part of the secret. */
export function authMethods(user: string, auth: SshAuth): AnyAuthMethod[] {
  const methods: AnyAuthMethod[] = [];
  if (auth.privateKey !== undefined) {
    methods.push({
      type: 'publickey',
      username: user,
      key: parsePrivateKey(auth.privateKey, auth),
    });
  }
  const { password } = auth;
  if (password !== undefined) {
    methods.push(
      { type: 'password', username: user, password },
      {
        type: 'keyboard-interactive',
        username: user,
        // Every question of a server that asks this way is for the password: one that asks for more fails the login.
        prompt: (...[, , , prompts, finish]) => finish(prompts.map(() => password)),
      },
    );
  }
  return methods;
}

function parsePrivateKey(text: string, { passphrase, name }: SshAuth): ParsedKey {
  // A key that travelled through YAML or a web form has often lost its last newline or gained a CR.
  const tidy = `${text.replaceAll('\r\n', '\n').trim()}\n`;
  const parsed = ssh2.utils.parseKey(tidy, passphrase);
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  if (key instanceof Error) throw invalid(name, ...whyUnusable(key, passphrase));
  if (key === undefined || !key.isPrivateKey()) {
    throw invalid(name, 'it holds a public key', 'Store the private key of the pair in it.');
  }
  return key;
}

function whyUnusable(error: Error, passphrase: string | undefined): [why: string, action: string] {
  if (!/encrypted|passphrase|integrity|bad decrypt|decrypt/i.test(error.message)) {
    return [
      'it cannot be read as a private key',
      'Store the whole file, from -----BEGIN to -----END, in OpenSSH or PEM format.',
    ];
  }
  return passphrase === undefined
    ? ['it is encrypted, and the credential has no passphrase', 'Add the field passphrase to the credential.']
    : ['it cannot be decrypted with the passphrase', 'Correct the field passphrase of the credential.'];
}

const invalid = (name: string | undefined, why: string, action: string): OutriderError =>
  new OutriderError({
    code: 'CredentialInvalid',
    message: `The private key of ${credentialWords(name)} is unusable: ${why}.`,
    action,
  });

/** A credential in a message. */
export const credentialWords = (name: string | undefined): string =>
  name === undefined ? 'the credential' : `the credential ${name}`;
