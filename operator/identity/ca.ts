import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { OutriderError } from '@outrider/protocol';
import { isDueForRenewal, issueServerCertificate, publicKeyHash, type CertifiedKey } from './certificates.ts';

/** How often a certificate's age, or its files, are looked at. */
const checkMs = 60_000;

/** Certificate files that somebody else keeps, such as cert-manager; read again when they change. */
export interface TlsFiles {
  readonly keyFile: string;
  /** The server's certificate, then intermediate ones. */
  readonly certFile: string;
  readonly caFile: string;
}

export interface AuthorityOptions {
  /** Key and certificate of the CA; unused where `files` are given. */
  readonly ca: CertifiedKey;
  /** DNS names and IP addresses of the server certificate. */
  readonly names: readonly string[];
  readonly files?: TlsFiles;
  readonly now: () => number;
  /** A renewal that failed; the old certificate stays and the next check tries again. */
  readonly onError: (error: unknown) => void;
}

/** The CA that runners pin, and a server certificate that renews itself at a third of its lifetime left. */
export interface Authority {
  readonly caPem: string;
  readonly caKeyHash: string;
  readonly tls: CertifiedKey;
  /** Called with every new certificate: `tlsServer.setSecureContext(tls)`. Returns how to stop it. */
  onRenewed(listener: (tls: CertifiedKey) => void): () => void;
  /** Renews where it is due. A timer calls it each minute. */
  check(): Promise<void>;
  close(): void;
}

const unreadable = (files: TlsFiles, cause: unknown): OutriderError =>
  new OutriderError(
    {
      code: 'Unavailable',
      message: `The TLS files ${files.keyFile}, ${files.certFile} and ${files.caFile} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`,
      action: 'Give a PEM key, its certificate chain and the CA certificate, readable by the operator.',
    },
    { cause },
  );

interface Material {
  readonly tls: CertifiedKey;
  readonly caPem: string;
  readonly caKeyHash: string;
}

const readFiles = async (files: TlsFiles): Promise<Material> => {
  try {
    const [key, cert, caPem] = await Promise.all(
      [files.keyFile, files.certFile, files.caFile].map((file) => readFile(file, 'utf8')),
    );
    if (!key || !cert || !caPem) throw new Error('one of them is empty.');
    // Files are replaced one after the other: a half that does not fit yet must not reach the TLS server.
    if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)))
      throw new Error('the key is not that of the certificate.');
    return { tls: { key, cert }, caPem, caKeyHash: publicKeyHash(caPem) };
  } catch (error) {
    throw unreadable(files, error);
  }
};

const issue = async (options: AuthorityOptions): Promise<Material> => ({
  tls: await issueServerCertificate(options.ca, options.names, options.now()),
  caPem: options.ca.cert,
  caKeyHash: publicKeyHash(options.ca.cert),
});

/** @throws OutriderError Unavailable when certificate files are given and cannot be read. */
export const createAuthority = async (options: AuthorityOptions): Promise<Authority> => {
  const { files } = options;
  let current = files ? await readFiles(files) : await issue(options);
  const listeners = new Set<(tls: CertifiedKey) => void>();

  const renewed = async (): Promise<Material | undefined> => {
    if (!files) return isDueForRenewal(current.tls.cert, options.now()) ? issue(options) : undefined;
    const read = await readFiles(files);
    return read.tls.cert === current.tls.cert &&
      read.tls.key === current.tls.key &&
      read.caPem === current.caPem
      ? undefined
      : read;
  };

  const check = async (): Promise<void> => {
    const next = await renewed();
    if (!next) return;
    current = next;
    for (const listener of listeners) listener(next.tls);
  };

  const timer = setInterval(() => {
    check().catch(options.onError);
  }, checkMs);
  timer.unref();

  return {
    get caPem() {
      return current.caPem;
    },
    get caKeyHash() {
      return current.caKeyHash;
    },
    get tls() {
      return current.tls;
    },
    onRenewed: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    check,
    close: () => clearInterval(timer),
  };
};
