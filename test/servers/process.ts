import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { Footprint } from './footprint.ts';
import { isRunning, signalProcess, startTimeOf, type ProcessIdentity } from './pids.ts';
import { tailOf } from './probes.ts';
import type { Trace } from './traces.ts';
import { waitFor } from './wait.ts';

export interface ProcessOptions {
  /** Names the process in messages and its log file. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Looked at until it holds. Default: ready as soon as it runs. */
  readonly ready?: () => boolean | Promise<boolean>;
  /** Default: 60,000. */
  readonly readyTimeoutMs?: number;
  /** SIGKILL ends it at once; SIGTERM gives it 10 s first. Default: SIGTERM. */
  readonly stopSignal?: 'SIGTERM' | 'SIGKILL';
}

/** A started server. It is in the footprint's list until it is stopped. */
export interface ServerProcess {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  running(): boolean;
  /** Its exit code once it has ended; undefined while it runs or when a signal ended it. */
  exitCode(): number | undefined;
  signal(signal: NodeJS.Signals): void;
  stop(): Promise<void>;
}

const SETPRIV = '/usr/bin/setpriv';

/**
 * Starts a process with its output in `<footprint folder>/logs/<name>.log` and waits until it is ready.
 * Unless the footprint is a lasting one, Linux ends it with this process, however that ends. Rejects with
 * the end of the log if it ends early or does not become ready in time.
 */
export async function startProcess(footprint: Footprint, options: ProcessOptions): Promise<ServerProcess> {
  const logFile = join(footprint.subfolder('logs'), `${options.name}.log`);
  const { identity, exitCode } = await launch(footprint, options, logFile);
  const trace: Trace = {
    kind: 'process',
    name: options.name,
    ...identity,
    log: logFile,
    stopSignal: options.stopSignal ?? 'SIGTERM',
  };
  footprint.add(trace);
  const server: ServerProcess = {
    name: options.name,
    pid: identity.pid,
    logFile,
    running: () => isRunning(identity),
    exitCode,
    signal: (signal) => signalProcess(identity, signal),
    stop: () => footprint.remove(trace),
  };
  await becomeReady(server, options);
  return server;
}

async function launch(
  footprint: Footprint,
  options: ProcessOptions,
  logFile: string,
): Promise<{ identity: ProcessIdentity; exitCode: () => number | undefined }> {
  const bound = !footprint.lasting && existsSync(SETPRIV);
  const pdeathsig = options.stopSignal === 'SIGKILL' ? 'KILL' : 'TERM';
  const log = openSync(logFile, 'a', 0o600);
  try {
    const child = spawn(
      bound ? SETPRIV : options.command,
      bound ? ['--pdeathsig', pdeathsig, '--', options.command, ...options.args] : options.args,
      {
        cwd: options.cwd ?? footprint.folder,
        env: { ...process.env, ...options.env },
        stdio: ['ignore', log, log],
        detached: footprint.lasting,
      },
    );
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) =>
        reject(new Error(`cannot start ${options.name}: ${error.message}`, { cause: error })),
      );
    });
    child.unref();
    const pid = child.pid ?? 0;
    return {
      identity: { pid, startTime: startTimeOf(pid) ?? 'ended' },
      exitCode: () => child.exitCode ?? undefined,
    };
  } finally {
    closeSync(log);
  }
}

async function becomeReady(server: ServerProcess, options: ProcessOptions): Promise<void> {
  const { ready } = options;
  if (ready === undefined) return;
  const detail = (): string => `the end of ${server.logFile}:\n${tailOf(server.logFile)}`;
  const state = await waitFor(
    `${server.name} to become ready`,
    async () => {
      if (!server.running()) return 'ended';
      return (await ready()) ? 'ready' : undefined;
    },
    { timeoutMs: options.readyTimeoutMs ?? 60_000, detail },
  ).catch(async (error: unknown) => {
    await server.stop();
    throw error;
  });
  if (state === 'ended') {
    const log = detail();
    await server.stop();
    throw new Error(`${server.name} ended before it was ready; ${log}`);
  }
}
