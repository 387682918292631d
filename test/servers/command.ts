import { spawn } from 'node:child_process';

/** What a finished command left behind. A command ended by a signal has the code 128. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** Text for stdin, which is closed after it. Default: empty. */
  readonly input?: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** The command is killed after this many milliseconds and then reported as failed. Default: 120,000. */
  readonly timeoutMs?: number;
}

/** Runs a command to its end. Rejects only if it cannot be started (for instance: not installed). */
export async function run(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const timeoutMs = options.timeoutMs ?? 120_000;
    // Closing the pipes ends the wait for what the command started and left behind.
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      child.stdout.destroy(new Error(`no end after ${timeoutMs / 1000} s`));
      child.stderr.destroy();
    }, timeoutMs);
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.stdin.on('error', () => {
      // The command ended without reading its input; its exit code says whether that matters.
    });
    child.stdout.on('error', (error) => err.push(Buffer.from(`\n(${error.message})`)));
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(new Error(`cannot run ${command}: ${error.message}`, { cause: error }));
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const stderr = Buffer.concat(err).toString();
      const ended = signal === null ? '' : `\n(ended by ${signal})`;
      resolve({ code: code ?? 128, stdout: Buffer.concat(out).toString(), stderr: stderr + ended });
    });
    child.stdin.end(options.input ?? '');
  });
}

/** Like `run`, and returns stdout; rejects with the command's stderr if it fails. */
export async function must(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const result = await run(command, args, options);
  if (result.code !== 0) {
    const said = result.stderr.trim() || result.stdout.trim() || 'it said nothing';
    throw new Error(`${command} ${args.join(' ')} failed with exit code ${result.code}: ${said}`);
  }
  return result.stdout;
}
