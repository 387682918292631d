import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { Footprint } from './footprint.ts';
import { markedProcesses, type MarkedProcess } from './marked.ts';
import { freePort } from './ports.ts';
import { startProcess } from './process.ts';
import { MARKER, renderSshdConfig, type SshdConfig } from './sshd-config.ts';
import { newHostKey, newKey, scan } from './sshd-keys.ts';
import { commandLine, isPrivate, versionOptions, type Place, type SshdOptions } from './sshd-setup.ts';
import { waitFor } from './wait.ts';

export type { SshdOptions } from './sshd-setup.ts';

/** A running OpenSSH server. */
export interface Sshd {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Private key that may log in, in OpenSSH's PEM format. */
  readonly clientKeyPem: string;
  readonly clientKeyFile: string;
  /** `SHA256:...` of the host key; changes with `rotateHostKey`. */
  readonly hostKeyFingerprint: string;
  /** A known_hosts line for the host key; changes with `rotateHostKey`. */
  readonly knownHosts: string;
  readonly pid: number;
  readonly logFile: string;
  /** What sessions started and is still running, wherever it moved to: pid and command line. */
  processes(): MarkedProcess[];
  /** Replaces the host key and returns when connections see the new one. */
  rotateHostKey(): Promise<void>;
  /** Ends the server and everything that sessions started. */
  stop(): Promise<void>;
}

/** Starts a real sshd of Debian's openssh-server with keys and configuration of its own. */
export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  const footprint = options.footprint ?? Footprint.temporary('sshd');
  try {
    return await launch(footprint, options);
  } catch (error) {
    if (options.footprint === undefined) await footprint.end();
    throw error;
  }
}

async function launch(footprint: Footprint, options: SshdOptions): Promise<Sshd> {
  const name = options.name ?? 'sshd';
  const folder = footprint.subfolder(name);
  const host = options.address ?? '127.0.0.1';
  const user = options.user ?? userInfo().username;
  const port = options.port ?? (options.netns === undefined ? await freePort(host) : 22);
  const marked = { kind: 'marked', variable: MARKER, value: randomBytes(12).toString('hex') } as const;
  const clientKeyFile = await newKey(folder, 'client');
  let hostKey = await newHostKey(folder, host, port);
  const place = { folder, user, options };
  await writeConfig(place, { port, address: host, marker: marked.value });
  const [command, ...args] = await commandLine(place);
  const inside = options.netns === undefined ? [] : ['ip', 'netns', 'exec', options.netns];
  const showsKey = async (): Promise<boolean> => (await scan(inside, host, port)) === hostKey.publicKey;
  footprint.add(marked);
  const server = await startProcess(footprint, { name, command, args, cwd: '/', ready: showsKey });
  return {
    host,
    port,
    user,
    clientKeyPem: readFileSync(clientKeyFile, 'utf8'),
    clientKeyFile,
    get hostKeyFingerprint() {
      return hostKey.fingerprint;
    },
    get knownHosts() {
      return hostKey.knownHosts;
    },
    pid: server.pid,
    logFile: server.logFile,
    processes: () => markedProcesses(MARKER, marked.value),
    rotateHostKey: async () => {
      hostKey = await newHostKey(folder, host, port);
      server.signal('SIGHUP');
      await waitFor('sshd to show its new host key', showsKey);
    },
    stop: async () => {
      await server.stop();
      await footprint.remove(marked);
      if (options.footprint === undefined) await footprint.end();
    },
  };
}

function emptyHome(folder: string): string {
  const home = join(folder, 'home');
  mkdirSync(home);
  return home;
}

async function writeConfig(
  place: Place,
  values: Pick<SshdConfig, 'port' | 'address' | 'marker'>,
): Promise<void> {
  const { folder, options } = place;
  const authorizedKeys = join(folder, 'authorized_keys');
  copyFileSync(join(folder, 'client.pub'), authorizedKeys);
  const config = renderSshdConfig({
    ...values,
    hostKeyFile: join(folder, 'host'),
    authorizedKeysFile: isPrivate(place) ? '.ssh/authorized_keys' : authorizedKeys,
    pidFile: join(folder, 'sshd.pid'),
    // What the startup files of this machine's user do (version managers, their locks) is no part of a test.
    home: isPrivate(place) ? undefined : emptyHome(folder),
    passwords: options.password !== undefined,
    maxSessions: options.maxSessions,
    extra: [...(options.config ?? []), ...(await versionOptions())],
  });
  writeFileSync(join(folder, 'sshd_config'), config);
}
