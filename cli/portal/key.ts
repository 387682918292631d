import { webcrypto } from 'node:crypto';
import { generateKeyPair } from 'dpop';

/** Private Ed25519 key as JWK (RFC 8037). */
export interface PrivateJwk {
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
  readonly x: string;
  readonly d: string;
}

export interface KeyPair {
  readonly privateKey: webcrypto.CryptoKey;
  readonly publicKey: webcrypto.CryptoKey;
}

const algorithm = 'Ed25519';

export const createJwk = async (): Promise<PrivateJwk> => {
  const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
  const { x, d } = await webcrypto.subtle.exportKey('jwk', privateKey);
  if (x === undefined || d === undefined) throw new Error('an Ed25519 key was exported without x or d');
  return { kty: 'OKP', crv: 'Ed25519', x, d };
};

export const importJwk = async (jwk: PrivateJwk): Promise<KeyPair> => {
  const { d: _, ...publicJwk } = jwk;
  return {
    privateKey: await webcrypto.subtle.importKey('jwk', { ...jwk }, algorithm, false, ['sign']),
    publicKey: await webcrypto.subtle.importKey('jwk', publicJwk, algorithm, true, ['verify']),
  };
};
