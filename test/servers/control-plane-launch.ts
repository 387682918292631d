import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { binary } from './binaries.ts';
import { base64File, createAuthority, issueCertificate } from './certificates.ts';
import { flags } from './flags.ts';
import type { Footprint } from './footprint.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { freePort } from './ports.ts';
import { httpStatus } from './probes.ts';
import { startProcess } from './process.ts';

export interface ControlPlaneOptions {
  /** Where what is started is listed. Default: one of its own, removed with its data by `stop`. */
  readonly footprint?: Footprint;
  /** Also start kube-controller-manager and kube-scheduler. Default: false; custom resources need neither. */
  readonly controllers?: boolean;
  /** Address that the API server listens on. Default: 127.0.0.1. */
  readonly bindAddress?: string;
  /** Address in the kubeconfigs, and of the service `kubernetes`. Default: `bindAddress`. */
  readonly advertiseAddress?: string;
  /** Further names and addresses in the serving certificate. */
  readonly hosts?: readonly string[];
  /** Network of the services, an IPv4 network. Default: 10.96.0.0/16. */
  readonly serviceCidr?: string;
  /** Let etcd call fsync, so that data survives a power cut. Default: false. */
  readonly durable?: boolean;
}

/** What another process must know to use a running control plane. It survives JSON. */
export interface ControlPlaneFacts {
  /** https URL of the API server. */
  readonly url: string;
  /** PEM file of the CA that signed the serving certificate. */
  readonly caFile: string;
  /** Path of a kubeconfig in the group system:masters. */
  readonly adminKubeconfig: string;
  readonly dataDir: string;
  /** Folder of the CA's key, tokens and certificates. */
  readonly pkiDir: string;
}

/** Users with static tokens, and their groups. The node's user must be named after the node. */
const USERS = {
  admin: { name: 'admin', group: 'system:masters' },
  'controller-manager': { name: 'system:kube-controller-manager', group: '' },
  scheduler: { name: 'system:kube-scheduler', group: '' },
  kubelet: { name: 'system:node:outrider-node', group: 'system:nodes' },
  proxy: { name: 'system:kube-proxy', group: 'system:node-proxier' },
} as const;

/** A component with a static token. */
type StaticUser = keyof typeof USERS;

export const NODE_NAME = 'outrider-node';

export async function launchControlPlane(
  footprint: Footprint,
  options: ControlPlaneOptions,
): Promise<ControlPlaneFacts> {
  const dataDir = footprint.subfolder('control-plane');
  const pkiDir = footprint.subfolder('control-plane/pki');
  footprint.subfolder('control-plane/kubeconfigs');
  const bindAddress = options.bindAddress ?? '127.0.0.1';
  const address = options.advertiseAddress ?? bindAddress;
  const names = ['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'];
  const serviceCidr = options.serviceCidr ?? '10.96.0.0/16';
  const service = firstAddress(serviceCidr);
  const hosts = new Set([address, '127.0.0.1', service, ...names, ...(options.hosts ?? [])]);
  await writePki(pkiDir, [...hosts]);
  await startEtcd(footprint, dataDir, options.durable ?? false);
  const url = await startApiServer(footprint, { dataDir, pkiDir, bindAddress, address, serviceCidr });
  const facts: ControlPlaneFacts = {
    url,
    caFile: join(pkiDir, 'ca.crt'),
    adminKubeconfig: staticKubeconfig({ url, dataDir, pkiDir }, 'admin'),
    dataDir,
    pkiDir,
  };
  if (options.controllers === true) await startControllers(footprint, facts);
  footprint.note('controlPlane', facts);
  return facts;
}

/** The first address of a network, which the service `kubernetes` has: 10.96.0.1 of 10.96.0.0/16. */
export function firstAddress(cidr: string): string {
  return cidr.replace(/(\d+)\/\d+$/, (_, last: string) => String(Number(last) + 1));
}

/** Writes the kubeconfig of a component with a static token, and returns its path. */
export function staticKubeconfig(
  facts: Pick<ControlPlaneFacts, 'url' | 'dataDir' | 'pkiDir'>,
  user: StaticUser,
): string {
  return writeKubeconfig(join(facts.dataDir, 'kubeconfigs', `${user}.yaml`), {
    server: facts.url,
    authority: base64File(join(facts.pkiDir, 'ca.crt')),
    user: USERS[user].name,
    credential: { token: readFileSync(join(facts.pkiDir, `${user}.token`), 'utf8') },
  });
}

async function writePki(pkiDir: string, hosts: readonly string[]): Promise<void> {
  await createAuthority(pkiDir, 'outrider-local-cluster');
  await issueCertificate(pkiDir, { name: 'apiserver', commonName: 'kube-apiserver', hosts });
  await issueCertificate(pkiDir, {
    name: 'kubelet-client',
    commonName: 'kube-apiserver-kubelet-client',
    organizations: ['system:masters'],
  });
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  writeFileSync(join(pkiDir, 'service-accounts.key'), privateKey, { mode: 0o600 });
  writeFileSync(join(pkiDir, 'service-accounts.pub'), publicKey);
  const lines = Object.entries(USERS).map(([user, { name, group }]) => {
    const token = randomBytes(24).toString('hex');
    writeFileSync(join(pkiDir, `${user}.token`), token, { mode: 0o600 });
    return `${token},${name},${name}${group === '' ? '' : `,"${group}"`}\n`;
  });
  writeFileSync(join(pkiDir, 'tokens.csv'), lines.join(''), { mode: 0o600 });
}

/** Sockets in the data folder, in the form that etcd accepts: relative, and with a port that means nothing. */
const ETCD = 'unix://etcd.sock:0';
const PEER = 'unix://peer.sock:0';

/** etcd without authentication, on a socket in a folder that only its owner may enter. */
async function startEtcd(footprint: Footprint, dataDir: string, durable: boolean): Promise<void> {
  await startProcess(footprint, {
    name: 'etcd',
    command: await binary('etcd'),
    args: flags({
      'data-dir': join(dataDir, 'etcd'),
      'unsafe-no-fsync': !durable,
      'listen-client-urls': ETCD,
      'advertise-client-urls': ETCD,
      'listen-peer-urls': PEER,
      'initial-advertise-peer-urls': PEER,
      'initial-cluster': `default=${PEER}`,
      'log-level': 'warn',
    }),
    cwd: dataDir,
  });
}

interface ApiServerPlace {
  readonly dataDir: string;
  readonly pkiDir: string;
  readonly bindAddress: string;
  readonly address: string;
  readonly serviceCidr: string;
}

/** Attempts to find a port that nobody else takes between the look and the start. */
const PORT_ATTEMPTS = 3;

async function startApiServer(footprint: Footprint, place: ApiServerPlace): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort(place.bindAddress);
    try {
      await startApiServerOn(footprint, place, port);
      return `https://${place.address}:${port}`;
    } catch (error) {
      const taken = error instanceof Error && error.message.includes('address already in use');
      if (!taken || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

async function startApiServerOn(footprint: Footprint, place: ApiServerPlace, port: number): Promise<void> {
  const pki = (name: string): string => join(place.pkiDir, name);
  const ca = readFileSync(pki('ca.crt'), 'utf8');
  const token = readFileSync(pki('admin.token'), 'utf8');
  const url = `https://${place.address}:${port}`;
  await startProcess(footprint, {
    name: 'kube-apiserver',
    command: await binary('kube-apiserver'),
    args: flags({
      'etcd-servers': ETCD,
      'secure-port': port,
      'bind-address': place.bindAddress,
      'advertise-address': place.address,
      'tls-cert-file': pki('apiserver.crt'),
      'tls-private-key-file': pki('apiserver.key'),
      'client-ca-file': pki('ca.crt'),
      'token-auth-file': pki('tokens.csv'),
      'service-account-issuer': 'https://kubernetes.default.svc',
      'service-account-key-file': pki('service-accounts.pub'),
      'service-account-signing-key-file': pki('service-accounts.key'),
      'kubelet-certificate-authority': pki('ca.crt'),
      'kubelet-client-certificate': pki('kubelet-client.crt'),
      'kubelet-client-key': pki('kubelet-client.key'),
      'kubelet-preferred-address-types': 'InternalIP',
      'authorization-mode': 'Node,RBAC',
      'service-cluster-ip-range': place.serviceCidr,
      'allow-privileged': true,
      profiling: false,
      'endpoint-reconciler-type': place.address.startsWith('127.') ? 'none' : 'master-count',
    }),
    cwd: place.dataDir,
    ready: async () =>
      (await httpStatus(`${url}/readyz`, { ca, token })) === 200 &&
      (await httpStatus(`${url}/api/v1/namespaces/default`, { ca, token })) === 200,
  });
}

async function startControllers(footprint: Footprint, facts: ControlPlaneFacts): Promise<void> {
  const pki = (name: string): string => join(facts.pkiDir, name);
  await startProcess(footprint, {
    name: 'kube-controller-manager',
    command: await binary('kube-controller-manager'),
    args: flags({
      kubeconfig: staticKubeconfig(facts, 'controller-manager'),
      'secure-port': 0,
      'leader-elect': false,
      'use-service-account-credentials': true,
      'service-account-private-key-file': pki('service-accounts.key'),
      'root-ca-file': pki('ca.crt'),
    }),
  });
  await startProcess(footprint, {
    name: 'kube-scheduler',
    command: await binary('kube-scheduler'),
    args: flags({
      kubeconfig: staticKubeconfig(facts, 'scheduler'),
      'secure-port': 0,
      'leader-elect': false,
    }),
  });
}
