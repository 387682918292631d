import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority, issueCertificate } from './certificates.ts';
import { Footprint } from './footprint.ts';
import { openbaoBinary } from './openbao-binary.ts';
import { freePort } from './ports.ts';
import { httpStatus } from './probes.ts';
import { startProcess } from './process.ts';

export interface OpenBaoOptions {
  /** Where what is started is listed. Default: one of its own, removed by `stop`. */
  readonly footprint?: Footprint;
  /** Address of the TLS listener. Default: 127.0.0.1. */
  readonly address?: string;
  /** Of the TLS listener. Default: a free one. */
  readonly port?: number;
  /** Further names and addresses in its certificate. */
  readonly hosts?: readonly string[];
}

/** A role of the jwt auth method. Claims must equal what is bound. */
export interface JwtRole {
  readonly name: string;
  readonly audience: string;
  readonly policies: readonly string[];
  /** Claim that becomes the alias. Default: `sub`. */
  readonly userClaim?: string;
  readonly boundSubject?: string;
  readonly boundClaims?: Readonly<Record<string, string | readonly string[]>>;
  /** Life of the tokens it gives, in seconds. Default: 60. */
  readonly tokenTtlSeconds?: number;
}

/** One answered request of the audit log. */
export interface AuditEntry {
  readonly operation: string;
  readonly path: string;
  /** False if it was refused or went wrong. The log keeps the reason as a digest only. */
  readonly ok: boolean;
}

/** A running OpenBao with everything in memory. Its HTTP API is Vault's. */
export interface OpenBao {
  /** https URL for clients; the certificate is signed by `caPem`. */
  readonly url: string;
  readonly caPem: string;
  readonly caFile: string;
  readonly rootToken: string;
  /** Calls the API as root and returns the JSON answer; rejects with the server's words on failure. */
  api(method: string, path: string, body?: unknown): Promise<unknown>;
  /** Mounts a kv version 2 engine. One is mounted at `secret` from the start. */
  enableKv(mount: string): Promise<void>;
  /** Writes a kv version 2 secret. */
  writeSecret(mount: string, path: string, data: Readonly<Record<string, string>>): Promise<void>;
  writePolicy(name: string, rules: string): Promise<void>;
  /** Enables the jwt auth method with fixed public keys (PEM) in place of a discovery URL. */
  enableJwt(mount: string, publicKeys: readonly string[], issuer?: string): Promise<void>;
  writeJwtRole(mount: string, role: JwtRole): Promise<void>;
  /** Answered requests so far, oldest first. */
  audit(): AuditEntry[];
  stop(): Promise<void>;
}

/** Starts OpenBao: TLS for clients, and plain HTTP on a loopback port for this handle alone. */
export async function startOpenBao(options: OpenBaoOptions = {}): Promise<OpenBao> {
  const footprint = options.footprint ?? Footprint.temporary('openbao');
  try {
    return await launch(footprint, options);
  } catch (error) {
    if (options.footprint === undefined) await footprint.end();
    throw error;
  }
}

async function launch(footprint: Footprint, options: OpenBaoOptions): Promise<OpenBao> {
  const folder = footprint.subfolder('openbao');
  const address = options.address ?? '127.0.0.1';
  const port = options.port ?? (await freePort(address));
  const { certFile: caFile } = await createAuthority(folder, 'outrider-local-openbao');
  const hosts = [...new Set([address, '127.0.0.1', 'localhost', ...(options.hosts ?? [])])];
  const server = await issueCertificate(folder, { name: 'server', commonName: 'openbao', hosts });
  const auditFile = join(folder, 'audit.log');
  writeFileSync(
    join(folder, 'config.json'),
    renderConfig({ address: `${address}:${port}`, auditFile, ...server }),
  );
  const rootToken = randomBytes(16).toString('hex');
  const local = `127.0.0.1:${await freePort()}`;
  const started = await startProcess(footprint, {
    name: 'openbao',
    command: await openbaoBinary(),
    args: [
      'server',
      '-dev',
      '-dev-no-store-token',
      `-dev-listen-address=${local}`,
      `-config=${join(folder, 'config.json')}`,
    ],
    env: { BAO_DEV_ROOT_TOKEN_ID: rootToken, HOME: folder },
    ready: async () => (await httpStatus(`http://${local}/v1/secret/config`, { token: rootToken })) === 200,
  });
  return {
    url: `https://${address}:${port}`,
    caPem: readFileSync(caFile, 'utf8'),
    caFile,
    rootToken,
    ...helpers(`http://${local}/v1`, rootToken),
    audit: () => (existsSync(auditFile) ? parseAudit(readFileSync(auditFile, 'utf8')) : []),
    stop: () => (options.footprint === undefined ? footprint.end() : started.stop()),
  };
}

interface ServerConfig {
  readonly address: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly auditFile: string;
}

/** Text of the server's configuration file. */
export function renderConfig(config: ServerConfig): string {
  const { address, certFile, keyFile, auditFile } = config;
  return JSON.stringify({
    listener: [{ tcp: { address, tls_cert_file: certFile, tls_key_file: keyFile } }],
    audit: [{ file: { tests: { description: 'Counted by tests.', options: { file_path: auditFile } } } }],
  });
}

/** The answered requests in the text of an audit log. */
export function parseAudit(text: string): AuditEntry[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as AuditLine)
    .filter((line) => line.type === 'response')
    .map(({ request, response, error }) => ({
      operation: request.operation,
      path: request.path,
      ok: error === undefined && response?.data?.error === undefined,
    }));
}

interface AuditLine {
  readonly type: string;
  readonly error?: string;
  readonly request: { readonly operation: string; readonly path: string };
  readonly response?: { readonly data?: { readonly error?: string } };
}

type Helpers = Pick<
  OpenBao,
  'api' | 'enableKv' | 'writeSecret' | 'writePolicy' | 'enableJwt' | 'writeJwtRole'
>;

function helpers(base: string, token: string): Helpers {
  const api = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const response = await fetch(`${base}/${path}`, {
      method,
      headers: { 'x-vault-token': token, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`OpenBao answered ${response.status} to ${method} ${path}: ${text}`);
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  };
  const send = async (path: string, body: unknown): Promise<void> => {
    await api('POST', path, body);
  };
  return {
    api,
    enableKv: (mount) => send(`sys/mounts/${mount}`, { type: 'kv', options: { version: '2' } }),
    writeSecret: (mount, path, data) => send(`${mount}/data/${path}`, { data }),
    writePolicy: (name, rules) => send(`sys/policies/acl/${name}`, { policy: rules }),
    enableJwt: async (mount, publicKeys, issuer) => {
      await send(`sys/auth/${mount}`, { type: 'jwt' });
      await send(`auth/${mount}/config`, {
        jwt_validation_pubkeys: publicKeys,
        ...(issuer === undefined ? {} : { bound_issuer: issuer }),
      });
    },
    writeJwtRole: (mount, role) =>
      send(`auth/${mount}/role/${role.name}`, {
        role_type: 'jwt',
        user_claim: role.userClaim ?? 'sub',
        bound_audiences: [role.audience],
        bound_subject: role.boundSubject,
        bound_claims: role.boundClaims,
        token_policies: role.policies,
        token_ttl: role.tokenTtlSeconds ?? 60,
        token_max_ttl: role.tokenTtlSeconds ?? 60,
      }),
  };
}
