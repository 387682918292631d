import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, exportPKCS8, generateKeyPair } from 'jose';
import { makeAuthority, type CertifiedKey } from './certificates.ts';
import type { KeyBundle, KeyStore } from './key-store.ts';

/** Name of the Secret that holds the CA's key and the signing keys. Whoever reads it can act as the operator. */
export const keyBundleName = 'outrider-ca';

/** A signing key and what others need to check its signatures. */
export interface SigningKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly publicPem: string;
  /** RFC 7638 thumbprint. */
  readonly kid: string;
}

export interface KeyMaterial {
  readonly ca: CertifiedKey;
  /** Ed25519: access tokens, which only this operator reads. */
  readonly access: SigningKey;
  /** ES256: attempt tokens, which Vault and OpenBao check with `publicPem` (jwt_validation_pubkeys). */
  readonly attempt: SigningKey;
}

const files = { caKey: 'ca.key', caCert: 'ca.crt', access: 'access.key', attempt: 'attempt.key' } as const;

const makeBundle = async (now: number): Promise<KeyBundle> => {
  const ca = await makeAuthority('Outrider CA', now);
  const [access, attempt] = await Promise.all([
    generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true }),
    generateKeyPair('ES256', { extractable: true }),
  ]);
  return {
    [files.caKey]: ca.key,
    [files.caCert]: ca.cert,
    [files.access]: await exportPKCS8(access.privateKey),
    [files.attempt]: await exportPKCS8(attempt.privateKey),
  };
};

const toSigningKey = async (pem: string): Promise<SigningKey> => {
  const publicKey = createPublicKey(pem);
  const publicPem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const kid = await calculateJwkThumbprint(publicKey.export({ format: 'jwk' }));
  return {
    privateKey: createPrivateKey(pem),
    publicKey,
    publicPem,
    kid,
  };
};

/** Loads the operator's keys, or makes them once; replicas that start together end up with the same ones. */
export const loadKeyMaterial = async (store: KeyStore, now: number): Promise<KeyMaterial> => {
  const bundle =
    (await store.load(keyBundleName)) ?? (await store.save(keyBundleName, await makeBundle(now)));
  const part = (name: string): string => {
    const value = bundle[name];
    if (value) return value;
    throw new Error(
      `The key bundle ${keyBundleName} has no ${name}. Restore it from a backup, or delete it to start with new keys, after which every runner must register again.`,
    );
  };
  return {
    ca: { key: part(files.caKey), cert: part(files.caCert) },
    access: await toSigningKey(part(files.access)),
    attempt: await toSigningKey(part(files.attempt)),
  };
};
