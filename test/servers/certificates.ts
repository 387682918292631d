import { readFileSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { must } from './command.ts';

/** A key and a certificate as PEM files. */
export interface KeyPair {
  readonly keyFile: string;
  readonly certFile: string;
}

export interface CertificateRequest {
  /** Name of the two files. */
  readonly name: string;
  readonly commonName: string;
  /** Kubernetes reads these as the groups of a user. */
  readonly organizations?: readonly string[];
  /** DNS names and addresses of a server. */
  readonly hosts?: readonly string[];
}

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** Makes a certificate authority in `folder` (ca.crt, ca.key), valid for ten years. */
export async function createAuthority(folder: string, commonName: string): Promise<KeyPair> {
  const config = join(folder, 'ca.cnf');
  writeFileSync(
    config,
    `[req]\nprompt = no\ndistinguished_name = name\nx509_extensions = extensions\n[name]\nCN = ${commonName}\n` +
      '[extensions]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign, cRLSign\n' +
      'subjectKeyIdentifier = hash\n',
  );
  const pair = { keyFile: join(folder, 'ca.key'), certFile: join(folder, 'ca.crt') };
  const files = ['-config', config, '-keyout', pair.keyFile, '-out', pair.certFile];
  await must('openssl', ['req', '-x509', ...CURVE, '-days', '3650', ...files]);
  return pair;
}

/** Text of the openssl configuration for one certificate. */
export function certificateConfig(request: CertificateRequest): string {
  const organizations = (request.organizations ?? []).map((name, index) => `${index}.O = ${name}\n`);
  const hosts = request.hosts ?? [];
  const names = hosts.map((host, index) => `${isIP(host) === 0 ? 'DNS' : 'IP'}.${index + 1} = ${host}\n`);
  const alternatives = hosts.length === 0 ? '' : `subjectAltName = @hosts\n[hosts]\n${names.join('')}`;
  return (
    '[req]\nprompt = no\ndistinguished_name = name\n[name]\n' +
    `${organizations.join('')}CN = ${request.commonName}\n` +
    '[extensions]\nbasicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\n' +
    `extendedKeyUsage = serverAuth, clientAuth\n${alternatives}`
  );
}

/** Makes a key and a certificate signed by the authority in `folder`, valid for a year. */
export async function issueCertificate(folder: string, request: CertificateRequest): Promise<KeyPair> {
  const at = (extension: string): string => join(folder, `${request.name}.${extension}`);
  writeFileSync(at('cnf'), certificateConfig(request));
  const csr = ['-config', at('cnf'), '-keyout', at('key'), '-out', at('csr')];
  await must('openssl', ['req', '-new', ...CURVE, ...csr]);
  const authority = ['-CA', join(folder, 'ca.crt'), '-CAkey', join(folder, 'ca.key')];
  const serial = ['-CAcreateserial', '-CAserial', join(folder, 'ca.srl')];
  const files = ['-in', at('csr'), '-extfile', at('cnf'), '-extensions', 'extensions', '-out', at('crt')];
  await must('openssl', ['x509', '-req', '-days', '365', ...authority, ...serial, ...files]);
  return { keyFile: at('key'), certFile: at('crt') };
}

/** A file as base64, the way a kubeconfig embeds it. */
export function base64File(path: string): string {
  return readFileSync(path).toString('base64');
}
