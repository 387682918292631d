import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import type { TreeRoot } from './process-tree.ts';
import { bootId, processEntry } from './process-table.ts';

export interface LocalCommand {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Name of the variable in `env` that marks the tree. */
  readonly marker: string;
}

export interface LocalExit {
  readonly code: number | undefined;
  readonly signal: string | undefined;
}

/** A process that exists and waits: nothing of the command has run before `go`. */
export interface GatedProcess {
  readonly root: TreeRoot;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly exited: Promise<LocalExit>;
  go(): void;
  /** Ends it in place of `go`. */
  refuse(): void;
}

/** Constant: becomes the command once a line arrives on stdin, and ends without it at the end of stdin. */
const GATE = 'read -r OUTRIDER_GATE || exit 125; unset OUTRIDER_GATE; exec "$@" </dev/null';

/** Starts a command in a session and group of its own, held at a gate so that its identity can be journalled first. */
export async function startGated(command: LocalCommand): Promise<GatedProcess> {
  const child = spawn('/bin/sh', ['-c', GATE, 'sh', command.file, ...command.args], {
    cwd: command.cwd,
    env: command.env,
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const exited = exitOf(child);
  // The gate may be gone before the line reaches it; the exit tells.
  child.stdin.on('error', () => undefined);
  if (child.pid === undefined) await exited;
  const pid = child.pid ?? 0;
  return {
    root: {
      pid,
      startTime: processEntry(pid)?.startTime ?? '',
      bootId: bootId(),
      marker: `${command.marker}=${command.env[command.marker] ?? ''}`,
    },
    stdout: child.stdout,
    stderr: child.stderr,
    exited,
    go: () => child.stdin.end('go\n'),
    refuse: () => child.stdin.end(),
  };
}

function exitOf(child: ChildProcess): Promise<LocalExit> {
  const exited = new Promise<LocalExit>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve({ code: code ?? undefined, signal: signal ?? undefined }));
  });
  // Whoever waits sees the rejection; nobody may be waiting yet.
  exited.catch(() => undefined);
  return exited;
}

/** Absolute path of a program, as the shell would find it; undefined if there is none that may be executed. */
export function findProgram(name: string, path: string, cwd: string): string | undefined {
  if (name.includes('/')) {
    const file = isAbsolute(name) ? name : resolve(cwd, name);
    return isProgram(file) ? file : undefined;
  }
  return path
    .split(delimiter)
    .map((folder) => join(folder === '' ? cwd : folder, name))
    .find(isProgram);
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
