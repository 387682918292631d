import { OutriderError } from './errors.ts';

/** What a registration token says besides its secret. */
export interface RegistrationToken {
  /** Base URL of the runner API, such as https://runners.example.com:8443. */
  readonly url: string;
  /** Random, base64url; the operator stores only its SHA-256. */
  readonly secret: string;
  /** SHA-256 of the CA certificate's SubjectPublicKeyInfo, base64url: pins the CA that `/runner/v1/ca` answers. */
  readonly caKeyHash: string;
}

const prefix = 'outrider-registration-';

/** One word without white space: prefix and base64url JSON, so that it survives copying into an environment variable. */
export const formatRegistrationToken = (token: RegistrationToken): string =>
  prefix + Buffer.from(JSON.stringify([token.url, token.secret, token.caKeyHash])).toString('base64url');

/** @throws OutriderError RegistrationTokenInvalid when the text is cut or is another kind of token. */
export const parseRegistrationToken = (text: string): RegistrationToken => {
  const invalid = (why: string): OutriderError =>
    new OutriderError({
      code: 'RegistrationTokenInvalid',
      message: `The registration token cannot be read: ${why}.`,
      action: 'Copy the whole token, or make a new one with `outrider runner token`.',
    });
  const word = text.trim();
  if (!word.startsWith(prefix)) throw invalid(`it does not start with ${prefix}`);
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(word.slice(prefix.length), 'base64url').toString());
  } catch {
    throw invalid('it is cut or altered');
  }
  if (!Array.isArray(parts) || parts.length !== 3 || !parts.every((part) => typeof part === 'string'))
    throw invalid('it is cut or altered');
  const [url = '', secret = '', caKeyHash = ''] = parts;
  return { url, secret, caKeyHash };
};
