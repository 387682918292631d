import { createHash } from 'node:crypto';
import ssh2 from 'ssh2';
import { serveParent } from '../harness/rpc.ts';

export interface LoopOptions {
  readonly hosts: readonly string[];
  readonly port: number;
  readonly user: string;
  readonly privateKey: string;
  /** `SHA256:…`. */
  readonly hostKey: string;
  readonly parallel: number;
}

const fingerprint = (key: Buffer): string =>
  `SHA256:${createHash('sha256').update(key).digest('base64').replaceAll('=', '')}`;

/** Connects, runs `echo hello`, reads its output and exit code, and ends the connection. */
const once = (options: LoopOptions, host: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const { port, user: username, privateKey, hostKey } = options;
    const client = new ssh2.Client();
    let output = '';
    client.once('error', reject);
    client.once('connect', () => client.setNoDelay(true));
    client.once('ready', () => {
      client.exec('echo hello', (error, channel) => {
        if (error) return reject(error);
        channel.on('data', (chunk: Buffer) => {
          output += chunk.toString();
        });
        channel.once('exit', (code: number | null) => {
          channel.once('close', () => {
            client.end();
            if (code === 0 && output === 'hello\n') resolve();
            else reject(new Error(`${host} answered with ${code}: ${output}`));
          });
        });
      });
    });
    const hostVerifier = (key: Buffer): boolean => fingerprint(key) === hostKey;
    client.connect({ host, port, username, privateKey, hostVerifier, readyTimeout: 60_000 });
  });

/** The floor: nothing but ssh2. Milliseconds for all hosts, `parallel` at a time. */
const loop = async (options: LoopOptions): Promise<number> => {
  const begun = performance.now();
  const left = options.hosts.values();
  const lane = async (): Promise<void> => {
    for (const host of left) await once(options, host);
  };
  await Promise.all(Array.from({ length: options.parallel }, lane));
  return performance.now() - begun;
};

const handlers = { loop };
export type SshLoopHandlers = typeof handlers;
serveParent(handlers);
