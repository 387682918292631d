import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { debianPackages } from '../servers/debian.ts';
import type { Footprint } from '../servers/footprint.ts';
import { createNetns, type Netns } from '../servers/netns.ts';
import { startSshd, type Sshd } from '../servers/sshd.ts';

/** Names that the snippets use; inside the closed network they lead to what the demo started. */
export const prodServer = 'prod-server.internal.company.com';
export const vaultHost = 'vault.internal.company.com';

/** Where the remote runner lives, and what it is near to. */
export interface Site {
  /** Address of this machine as the runner sees it. */
  readonly hostAddress: string;
  /** Put before a command line, runs it there. */
  readonly exec: readonly string[];
  readonly netns: Netns | undefined;
  readonly sshd: Sshd;
  /** Host that the workflow names; port 22 in the closed network. */
  readonly sshHost: string;
}

const hostsFile = (footprint: Footprint, netns: Netns): void => {
  const folder = join('/etc/netns', netns.name);
  mkdirSync(folder, { recursive: true });
  footprint.add({ kind: 'folder', path: folder });
  const hosts = [
    '127.0.0.1 localhost',
    `${netns.address} ${prodServer}`,
    `${netns.hostAddress} ${vaultHost}`,
    '',
  ];
  // `ip netns exec` lays the files of this folder over those of /etc.
  writeFileSync(join(folder, 'hosts'), hosts.join('\n'));
};

/** A network of its own, with the "prod server" and the runner in it; from there only listed services can be reached. */
export const createClosedSite = async (footprint: Footprint): Promise<Site> => {
  const netns = await createNetns({ footprint, name: 'outrider-site' });
  hostsFile(footprint, netns);
  const sshd = await startSshd({
    footprint,
    name: 'prod-server',
    netns: netns.name,
    address: netns.address,
    port: 22,
    user: 'deploy',
    hostname: 'prod-server',
  });
  return { hostAddress: netns.hostAddress, exec: netns.exec, netns, sshd, sshHost: prodServer };
};

/** Without root: an sshd of the user's own, on a free port. */
export const createOpenSite = async (footprint: Footprint): Promise<Site> => {
  const sshd = await startSshd({ footprint, name: 'prod-server' });
  return { hostAddress: '127.0.0.1', exec: [], netns: undefined, sshd, sshHost: sshd.host };
};

/** `journalctl` of the snippet comes with systemd; nothing of it is started. */
export const installSitePackages = async (): Promise<void> => {
  const { missing, reason } = await debianPackages([
    'openssh-server',
    'openssh-client',
    'openssl',
    'systemd',
  ]);
  if (missing.length > 0) throw new Error(`the demo needs ${missing.join(', ')}: ${reason}`);
};
