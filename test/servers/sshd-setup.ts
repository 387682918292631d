import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must, run } from './command.ts';
import type { Footprint } from './footprint.ts';
import { hasAccount, withAccount } from './sshd-config.ts';

export interface SshdOptions {
  /** Where what is started is listed. Default: one of its own, removed by `stop`. */
  readonly footprint?: Footprint;
  /** Tells several servers of one footprint apart. Default: `sshd`. */
  readonly name?: string;
  /** Address to listen on, and to connect to. Default: 127.0.0.1. */
  readonly address?: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Login user. Default: the current one. As root another name may be given: it exists for this sshd only. */
  readonly user?: string;
  /** Also allow login with this password. Root only. */
  readonly password?: string;
  /** Login shell of a user that exists for this sshd only. Default: /bin/sh. */
  readonly shell?: string;
  /** Host name that sessions see, in a UTS namespace. Root only. */
  readonly hostname?: string;
  /** Name of the network namespace to listen in. Root only. */
  readonly netns?: string;
  readonly maxSessions?: number;
  /** Shell lines that prepare the server's own mount namespace, such as other mounts. Root only. */
  readonly prepare?: readonly string[];
  /** Further lines of sshd_config. */
  readonly config?: readonly string[];
}

const SSHD = '/usr/sbin/sshd';
/** Far from the ranges that systems hand out; the user exists in one mount namespace only. */
const PRIVATE_UID = 64_213;

/** OpenSSH 9.8 began to block addresses that fail to log in; tests do so on purpose. */
export async function versionOptions(): Promise<string[]> {
  const { stdout, stderr } = await run(SSHD, ['-V']);
  const [, major = '0', minor = '0'] = /OpenSSH_(\d+)\.(\d+)/.exec(stdout + stderr) ?? [];
  return Number(major) * 100 + Number(minor) >= 908 ? ['PerSourcePenalties no'] : [];
}

/** A server's files, its login user and what was asked for. */
export interface Place {
  readonly folder: string;
  readonly user: string;
  readonly options: SshdOptions;
}

/** True if the login user exists for this sshd only. */
export function isPrivate({ user }: Place): boolean {
  return !hasAccount(readFileSync('/etc/passwd', 'utf8'), user);
}

/** The command that becomes sshd, with the namespaces that were asked for around it. */
export async function commandLine(place: Place): Promise<readonly [string, ...string[]]> {
  if (!existsSync(SSHD)) throw new Error(`${SSHD} is missing: install the Debian package openssh-server`);
  const { folder, options } = place;
  const sshd = [SSHD, '-D', '-e', '-f', join(folder, 'sshd_config')] as const;
  if (process.getuid?.() !== 0) {
    const asked = [options.hostname, options.netns, options.password, options.prepare].some(
      (value) => value !== undefined,
    );
    if (asked || isPrivate(place)) {
      throw new Error('a host name, namespace, password, mount or user of its own for sshd needs root');
    }
    return sshd;
  }
  mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  const setup = join(folder, 'setup.sh');
  writeFileSync(setup, await setupScript(place), { mode: 0o700 });
  const uts = options.hostname === undefined ? [] : ['--uts'];
  const unshare = [
    'unshare',
    '--mount',
    '--propagation',
    'private',
    ...uts,
    '/bin/sh',
    setup,
    ...sshd,
  ] as const;
  return options.netns === undefined ? unshare : ['ip', 'netns', 'exec', options.netns, ...unshare];
}

/**
 * Runs in the server's mount namespace and becomes sshd: lays private copies over the account files, so that a
 * user or password of this server never exists on the machine, and a memory disk over /home for a user's home.
 */
async function setupScript(place: Place): Promise<string> {
  const { folder, user, options } = place;
  const read = (name: string): string => readFileSync(join('/etc', name), 'utf8');
  const home = `/home/${user}`;
  const hash =
    options.password === undefined
      ? '*'
      : (await must('openssl', ['passwd', '-6', '-stdin'], { input: options.password })).trim();
  const files = withAccount(
    { passwd: read('passwd'), group: read('group'), shadow: read('shadow') },
    { name: user, uid: PRIVATE_UID, home, shell: options.shell ?? '/bin/sh', passwordHash: hash },
  );
  const lines = ['set -e'];
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(folder, name), text, { mode: name === 'shadow' ? 0o600 : 0o644 });
    lines.push(`mount --bind '${join(folder, name)}' /etc/${name}`);
  }
  if (isPrivate(place)) {
    lines.push(
      'mount -t tmpfs -o mode=0755 tmpfs /home',
      `mkdir -p ${home}/.ssh`,
      `cp '${join(folder, 'authorized_keys')}' ${home}/.ssh/authorized_keys`,
      `chown -R ${PRIVATE_UID}:${PRIVATE_UID} ${home}`,
      `chmod 700 ${home} ${home}/.ssh`,
    );
  }
  if (options.hostname !== undefined) lines.push(`echo '${options.hostname}' >/proc/sys/kernel/hostname`);
  lines.push(...(options.prepare ?? []), 'exec "$@"');
  return `${lines.join('\n')}\n`;
}
