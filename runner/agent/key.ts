import type { webcrypto } from 'node:crypto';
import { join } from 'node:path';
import { OutriderError, type PublicJwk } from '@outrider/protocol';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, SignJWT, type JWK } from 'jose';
import { privateFolder, readIfThere, writeDurably } from './files.ts';

/** The runner's identity: one Ed25519 key per replica, which never leaves its state folder. */
export interface RunnerKey {
  readonly publicJwk: PublicJwk;
  /** RFC 7638 thumbprint: the client_id. */
  readonly thumbprint: string;
  readonly pair: { readonly privateKey: webcrypto.CryptoKey; readonly publicKey: webcrypto.CryptoKey };
  /** Compact JWS (EdDSA) over the claims; `header` is put beside the algorithm. */
  sign(
    claims: Readonly<Record<string, unknown>>,
    header?: Readonly<Record<string, unknown>>,
  ): Promise<string>;
}

const fileName = 'key.json';

const invalid = (path: string, cause?: unknown): OutriderError =>
  new OutriderError(
    {
      code: 'Internal',
      message: `The runner's key file ${path} does not hold an Ed25519 key.`,
      action:
        'Restore the file, or join anew with `outrider-runner register --new-key` and a new registration token.',
    },
    { cause },
  );

const parseKey = (text: string, path: string): JWK & { x: string; d: string } => {
  let jwk: JWK;
  try {
    jwk = JSON.parse(text) as JWK;
  } catch (error) {
    throw invalid(path, error);
  }
  const { kty, crv, x, d } = jwk;
  if (kty !== 'OKP' || crv !== 'Ed25519' || typeof x !== 'string' || typeof d !== 'string')
    throw invalid(path);
  return { kty, crv, x, d };
};

const importKey = async (jwk: JWK, path: string): Promise<webcrypto.CryptoKey> => {
  const key = await importJWK(jwk, 'EdDSA', { extractable: false }).catch((error: unknown) => {
    throw invalid(path, error);
  });
  if (!(key instanceof CryptoKey)) throw invalid(path);
  return key;
};

const fromJwk = async (jwk: JWK & { x: string; d: string }, path: string): Promise<RunnerKey> => {
  const publicJwk: PublicJwk = { kty: 'OKP', crv: 'Ed25519', x: jwk.x };
  const privateKey = await importKey(jwk, path);
  const publicKey = await importJWK(publicJwk, 'EdDSA', { extractable: true });
  if (!(publicKey instanceof CryptoKey)) throw invalid(path);
  return {
    publicJwk,
    thumbprint: await calculateJwkThumbprint(publicJwk),
    pair: { privateKey, publicKey },
    sign: (claims, header = {}) =>
      new SignJWT({ ...claims }).setProtectedHeader({ ...header, alg: 'EdDSA' }).sign(privateKey),
  };
};

/** The key in the state folder, undefined before there is one. @throws OutriderError Internal when the file is spoilt. */
export const loadKey = async (stateDir: string): Promise<RunnerKey | undefined> => {
  const path = join(stateDir, fileName);
  const text = await readIfThere(path);
  return text === undefined ? undefined : fromJwk(parseKey(text, path), path);
};

/** Makes a key and writes it down durably: it must exist before anybody is told of its public half. */
export const createKey = async (stateDir: string): Promise<RunnerKey> => {
  await privateFolder(stateDir);
  const path = join(stateDir, fileName);
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const text = JSON.stringify(await exportJWK(privateKey));
  await writeDurably(path, text);
  return fromJwk(parseKey(text, path), path);
};
