import { existsSync, readdirSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { run } from './command.ts';

const POLICY = '/usr/sbin/policy-rc.d';
const SAVED_POLICY = '/usr/sbin/policy-rc.d.outrider-saved';

/** Services that these packages would start now or at the next boot. */
const UNITS: Readonly<Record<string, readonly string[]>> = {
  'openssh-server': ['ssh.service', 'ssh.socket'],
  containerd: ['containerd.service'],
  postgresql: ['postgresql.service'],
};

/** Programs that count as the package, wherever they come from: Docker, for instance, has its own containerd. */
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  busybox: ['busybox'],
  containerd: ['containerd', 'ctr'],
  'containernetworking-plugins': ['/usr/lib/cni/ptp', '/usr/lib/cni/host-local', '/usr/lib/cni/loopback'],
  iproute2: ['ip'],
  nftables: ['nft'],
  'openssh-client': ['ssh', 'ssh-keygen', 'ssh-keyscan'],
  'openssh-server': ['/usr/sbin/sshd'],
  openssl: ['openssl'],
  runc: ['runc'],
  'util-linux': ['unshare', 'nsenter', 'setpriv', 'mount'],
};

export interface PackageResult {
  readonly installed: readonly string[];
  /** What is not there and could not be installed. */
  readonly missing: readonly string[];
  /** Why something is missing; empty if nothing is. */
  readonly reason: string;
}

/** Those of the packages that dpkg's answer does not list as installed. */
export function missingPackages(wanted: readonly string[], dpkgQuery: string): string[] {
  const installed = new Set(
    dpkgQuery
      .split('\n')
      .filter((line) => line.endsWith(' installed'))
      .map((line) => line.split(' ')[0] ?? ''),
  );
  return wanted.filter((name) => !installed.has(name));
}

/**
 * Installs Debian packages that are missing, as root and without questions. No service of theirs is started,
 * now or at the next boot. Where it may not or cannot install, it says what is missing, and rejects nothing.
 */
export async function debianPackages(wanted: readonly string[]): Promise<PackageResult> {
  const missing = await notInstalled(wanted);
  if (missing.length === 0) return { installed: [], missing: [], reason: '' };
  if (!existsSync('/usr/bin/apt-get')) {
    return { installed: [], missing, reason: 'only Debian packages can be installed, and this is no Debian' };
  }
  if (process.getuid?.() !== 0) {
    return { installed: [], missing, reason: 'only root can install Debian packages' };
  }
  console.error(`installing Debian packages: ${missing.join(' ')} (their services are not started)`);
  const before = runningPrograms();
  const problem = await withServicesBarred(() => install(missing));
  await keepServicesOff(missing);
  const still = await notInstalled(wanted);
  await refuseStarted(missing, before);
  return { installed: missing.filter((name) => !still.includes(name)), missing: still, reason: problem };
}

async function notInstalled(wanted: readonly string[]): Promise<string[]> {
  const absent = wanted.filter((name) => !hasPrograms(name));
  if (absent.length === 0 || !existsSync('/usr/bin/dpkg-query')) return absent;
  const answer = await run('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\n', ...absent]);
  return missingPackages(absent, answer.stdout);
}

function hasPrograms(name: string): boolean {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const found = (program: string): boolean =>
    isAbsolute(program) ? existsSync(program) : folders.some((folder) => existsSync(join(folder, program)));
  return PROGRAMS[name]?.every(found) ?? false;
}

/** Returns what went wrong, or an empty text. Never removes a package to make room. Package lists are fetched only if the first attempt fails. */
async function install(names: readonly string[]): Promise<string> {
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const args = ['install', '--yes', '--no-install-recommends', '--no-remove', ...names];
  const first = await run('apt-get', args, { env, timeoutMs: 600_000 });
  if (first.code === 0) return '';
  await run('apt-get', ['update'], { env, timeoutMs: 600_000 });
  const second = await run('apt-get', args, { env, timeoutMs: 600_000 });
  return second.code === 0 ? '' : `apt-get install failed: ${second.stderr.trim()}`;
}

/** invoke-rc.d asks policy-rc.d, whose exit code 101 forbids every action on a service. */
async function withServicesBarred<T>(work: () => Promise<T>): Promise<T> {
  const saved = existsSync(POLICY) && !existsSync(SAVED_POLICY);
  if (saved) renameSync(POLICY, SAVED_POLICY);
  writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    return await work();
  } finally {
    if (existsSync(SAVED_POLICY)) renameSync(SAVED_POLICY, POLICY);
    else rmSync(POLICY, { force: true });
  }
}

async function keepServicesOff(names: readonly string[]): Promise<void> {
  const units = names.flatMap((name) => UNITS[name] ?? []);
  for (const unit of units) {
    if (existsSync('/usr/bin/systemctl')) await run('systemctl', ['disable', unit]);
    const script = unit.replace(/\.service$/, '');
    if (existsSync(`/etc/init.d/${script}`)) await run('update-rc.d', [script, 'disable']);
  }
}

/** Programs that run, by process id. */
function runningPrograms(): Map<string, string> {
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
  return new Map(
    pids.flatMap((pid): [string, string][] => {
      try {
        return [[pid, readlinkSync(`/proc/${pid}/exe`)]];
      } catch {
        return [];
      }
    }),
  );
}

async function refuseStarted(names: readonly string[], before: ReadonlyMap<string, string>): Promise<void> {
  const files = new Set((await run('dpkg', ['-L', ...names])).stdout.split('\n'));
  for (const [pid, program] of runningPrograms()) {
    if (before.get(pid) === program || !files.has(program)) continue;
    throw new Error(
      `installing ${names.join(' ')} started ${program} (process ${pid}); stop its service before going on`,
    );
  }
}
