import 'reflect-metadata';
import { X509Certificate as NodeCertificate, createHash, randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { exportPKCS8, importPKCS8 } from 'jose';

const dayMs = 86_400_000;
const caLifetimeMs = 3650 * dayMs;
export const serverLifetimeMs = 90 * dayMs;
/** Certificates start this much in the past, for peers whose clock is behind. */
const backdateMs = dayMs;

const curve = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const signing = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** A private key (PKCS #8) and its certificate, PEM. */
export interface CertifiedKey {
  readonly key: string;
  readonly cert: string;
}

const makeKeys = async (): Promise<webcrypto.CryptoKeyPair> =>
  webcrypto.subtle.generateKey(curve, true, ['sign', 'verify']);

/** 16 bytes with the first bit clear: positive, and unique without a counter. */
const serialNumber = (): string => {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
};

/** A certificate authority of its own: ECDSA P-256, ten years, may sign leaf certificates only. */
export const makeAuthority = async (commonName: string, now: number): Promise<CertifiedKey> => {
  const keys = await makeKeys();
  const cert = await X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialNumber(),
      name: [{ CN: [commonName] }],
      notBefore: new Date(now - backdateMs),
      notAfter: new Date(now + caLifetimeMs),
      signingAlgorithm: signing,
      keys,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return { key: await exportPKCS8(keys.privateKey), cert: `${cert.toString('pem')}\n` };
};

/** A server certificate of 90 days for these DNS names and IP addresses; `cert` holds it alone, without the CA. */
export const issueServerCertificate = async (
  authority: CertifiedKey,
  names: readonly string[],
  now: number,
): Promise<CertifiedKey> => {
  const issuer = new X509Certificate(authority.cert);
  const signingKey = await importPKCS8(authority.key, 'ES256');
  const keys = await makeKeys();
  const alternatives = names.map((value) => ({
    type: isIP(value) ? ('ip' as const) : ('dns' as const),
    value,
  }));
  const cert = await X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(),
      subject: [{ CN: ['outrider'] }],
      issuer: issuer.subjectName.toJSON(),
      notBefore: new Date(now - backdateMs),
      notAfter: new Date(Math.min(now + serverLifetimeMs, issuer.notAfter.getTime())),
      signingAlgorithm: signing,
      publicKey: keys.publicKey,
      signingKey,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth], false),
        new SubjectAlternativeNameExtension(alternatives, false),
        await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
        await AuthorityKeyIdentifierExtension.create(issuer.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return { key: await exportPKCS8(keys.privateKey), cert: `${cert.toString('pem')}\n` };
};

/** SHA-256 of the certificate's SubjectPublicKeyInfo, base64url. */
export const publicKeyHash = (certPem: string): string => {
  const spki = new NodeCertificate(certPem).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('base64url');
};

/** True when less than a third of the certificate's lifetime is left. */
export const isDueForRenewal = (certPem: string, now: number): boolean => {
  const cert = new NodeCertificate(certPem);
  const end = cert.validToDate.getTime();
  return end - now < (end - cert.validFromDate.getTime()) / 3;
};
