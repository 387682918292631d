import { X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAuthority } from './ca.ts';
import { issueServerCertificate, publicKeyHash, serverLifetimeMs } from './certificates.ts';
import { createFolderKeyStore } from './folder-key-store.ts';
import { keyBundleName, loadKeyMaterial } from './key-material.ts';

const start = Date.parse('2026-11-22T12:00:00Z');
const day = 86_400_000;
const fail = (error: unknown): never => {
  throw error;
};
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'outrider-ca-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('key material', () => {
  it('is made once, even by replicas that start together, and is readable by its owner only', async () => {
    const store = createFolderKeyStore(join(folder, 'keys'));
    const all = await Promise.all([1, 2, 3].map(() => loadKeyMaterial(store, start)));
    expect(new Set(all.map((keys) => keys.ca.cert)).size).toBe(1);
    expect(new Set(all.map((keys) => keys.attempt.kid)).size).toBe(1);
    expect((await loadKeyMaterial(store, start)).access.kid).toBe(all[0]?.access.kid);
    expect(await readdir(join(folder, 'keys'))).toEqual([`${keyBundleName}.json`]);
    expect((await stat(join(folder, 'keys', `${keyBundleName}.json`))).mode & 0o777).toBe(0o600);
  });

  it('says which part a damaged bundle lacks', async () => {
    await writeFile(join(folder, `${keyBundleName}.json`), '{"ca.key":"x"}');
    await expect(loadKeyMaterial(createFolderKeyStore(folder), start)).rejects.toThrow(
      'outrider-ca has no ca.crt',
    );
  });
});

describe('the authority', () => {
  it('issues a certificate for DNS names and addresses that its own CA verifies', async () => {
    const { ca } = await loadKeyMaterial(createFolderKeyStore(folder), start);
    const authority = await createAuthority({
      ca,
      names: ['runners.example.com', '127.0.0.1', '::1'],
      now: () => start,
      onError: fail,
    });
    authority.close();
    const cert = new X509Certificate(authority.tls.cert);
    const root = new X509Certificate(authority.caPem);
    expect(cert.verify(root.publicKey)).toBe(true);
    expect(cert.checkIssued(root)).toBe(true);
    expect(cert.checkHost('runners.example.com')).toBe('runners.example.com');
    expect(cert.checkIP('127.0.0.1')).toBe('127.0.0.1');
    expect(cert.checkHost('other.example.com')).toBeUndefined();
    expect(cert.ca).toBe(false);
    expect(root.ca).toBe(true);
    expect(root.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
    expect(root.validToDate.getTime()).toBe(start + 3650 * day);
    expect(cert.validToDate.getTime()).toBe(start + serverLifetimeMs);
    expect(authority.caKeyHash).toBe(publicKeyHash(ca.cert));
  });

  it('renews the certificate, and only that, when a third of its time is left', async () => {
    const { ca } = await loadKeyMaterial(createFolderKeyStore(folder), start);
    let now = start;
    const authority = await createAuthority({ ca, names: ['localhost'], now: () => now, onError: fail });
    authority.close();
    const first = authority.tls;
    const seen: string[] = [];
    const stop = authority.onRenewed((tls) => seen.push(tls.cert));
    now = start + 59 * day;
    await authority.check();
    expect(authority.tls).toBe(first);
    now = start + 61 * day;
    await authority.check();
    expect(seen).toEqual([authority.tls.cert]);
    expect(authority.tls.cert).not.toBe(first.cert);
    expect(authority.caPem).toBe(ca.cert);
    stop();
    now += 61 * day;
    await authority.check();
    expect(seen).toHaveLength(1);
  });

  it('reads given files again when they change, and names them when they cannot be read', async () => {
    const { ca } = await loadKeyMaterial(createFolderKeyStore(folder), start);
    const files = {
      keyFile: join(folder, 'tls.key'),
      certFile: join(folder, 'tls.crt'),
      caFile: join(folder, 'ca.crt'),
    };
    const options = { ca, names: [], files, now: () => start, onError: fail };
    await expect(createAuthority(options)).rejects.toMatchObject({
      code: 'Unavailable',
      message: expect.stringContaining(`The TLS files ${files.keyFile}`),
    });
    const put = async (): Promise<string> => {
      const { key, cert } = await issueServerCertificate(ca, ['localhost'], start);
      await Promise.all([
        writeFile(files.keyFile, key),
        writeFile(files.certFile, cert),
        writeFile(files.caFile, ca.cert),
      ]);
      return cert;
    };
    const first = await put();
    const authority = await createAuthority(options);
    authority.close();
    expect(authority.tls.cert).toBe(first);
    const second = await put();
    await authority.check();
    expect(authority.tls.cert).toBe(second);
    await writeFile(files.keyFile, (await issueServerCertificate(ca, ['localhost'], start)).key);
    await expect(authority.check()).rejects.toThrow(
      'cannot be used: the key is not that of the certificate.',
    );
    expect(authority.tls.cert).toBe(second);
  });
});
