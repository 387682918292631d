import { createHash, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OutriderError, paths } from '@outrider/protocol';
import { bodyOf } from './answers.ts';
import { privateFolder, readIfThere, writeDurably } from './files.ts';
import type { ProxySettings } from './exchange.ts';
import { createTransport } from './http.ts';

const fileName = 'ca.pem';

/** SHA-256 of the certificate's SubjectPublicKeyInfo, base64url: it stays when a CA is renewed with the same key. */
export const keyHash = (pem: string): string =>
  createHash('sha256')
    .update(new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64url');

const mismatch = (url: string, expected: string, got: string): OutriderError =>
  new OutriderError({
    code: 'CertificateMismatch',
    message: `The CA that ${url} shows is not the one of the registration token: its key hash is ${got}, the token says ${expected}.`,
    action:
      'Check the URL: another machine may be answering in the operator’s place. If the operator’s CA was replaced, make a new token with `outrider runner token`.',
    details: { expected, got },
  });

/**
 * Fetches the operator's CA over a connection that is not verified, and trusts it only if its key is the one that the
 * registration token names. @throws OutriderError CertificateMismatch, OperatorUnreachable
 */
export const fetchCa = async (options: {
  url: string;
  caKeyHash: string;
  proxy: ProxySettings;
}): Promise<string> => {
  const { url, caKeyHash, proxy } = options;
  const transport = createTransport({ url, proxy, verify: false });
  try {
    const response = await transport.send({ lane: 'control', method: 'GET', path: paths.ca });
    if (response.status !== 200) bodyOf(response);
    let got: string;
    try {
      got = keyHash(response.text);
    } catch {
      throw mismatch(url, caKeyHash, 'none (the answer is not a certificate)');
    }
    if (got !== caKeyHash) throw mismatch(url, caKeyHash, got);
    return response.text;
  } finally {
    await transport.close();
  }
};

export const storeCa = async (stateDir: string, pem: string): Promise<void> => {
  await privateFolder(stateDir);
  await writeDurably(join(stateDir, fileName), pem);
};

/** The CA to verify the operator with: OUTRIDER_CA_FILE, else the one kept at registration, else the system's (undefined). */
export const loadCa = async (options: { caFile?: string; stateDir: string }): Promise<string | undefined> => {
  const { caFile, stateDir } = options;
  if (caFile === undefined) return readIfThere(join(stateDir, fileName));
  try {
    return await readFile(caFile, 'utf8');
  } catch (error) {
    throw new OutriderError(
      {
        code: 'ConfigInvalid',
        message: `The CA file ${caFile} cannot be read: ${error instanceof Error ? error.message : String(error)}.`,
        action: 'Correct OUTRIDER_CA_FILE (or --ca-file, caFile), or make the file readable for this user.',
      },
      { cause: error },
    );
  }
};
