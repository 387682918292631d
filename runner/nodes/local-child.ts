import { pump } from '@outrider/transports/pump';
import { startGated, type GatedProcess, type LocalCommand } from '@outrider/transports/local-process';
import { killTree } from '@outrider/transports/process-tree';
import { MARKER, stopResult } from './attempt.ts';
import type { ExecutorResult, Reaper, TaskContext } from './contract.ts';
import { supervise } from './supervise.ts';

export interface LocalRun extends Omit<LocalCommand, 'marker'> {
  /** Names it in messages, such as "The script". */
  readonly what: string;
}

/** Variables of the runner's own environment that its children get; nothing else of it, since it may hold secrets. */
const INHERITED = ['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'LC_ALL', 'LC_CTYPE', 'TZ', 'TMPDIR'];
export const PROXIES = ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY', 'https_proxy', 'http_proxy', 'no_proxy'];

/** The part of the runner's environment that its children may see. */
export function inheritedEnvironment(
  names: readonly string[] = [...INHERITED, ...PROXIES],
  env: Readonly<Record<string, string | undefined>> = process.env,
): Record<string, string> {
  const found = names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]] as const]));
  return { PATH: '/usr/local/bin:/usr/bin:/bin', ...Object.fromEntries(found) };
}

/** Runs one process on the runner to its end, with its output, journalled handle, and a checked kill if it is stopped. */
export async function runLocally(context: TaskContext, run: LocalRun): Promise<ExecutorResult> {
  if (context.signal.aborted) return stopResult(context.signal);
  const child = await startGated({ ...run, marker: MARKER });
  try {
    await context.handle({ ...child.root });
  } catch (error) {
    child.refuse();
    throw error;
  }
  if (context.signal.aborted) {
    child.refuse();
    await child.exited;
    return stopResult(context.signal);
  }
  return letGo(context, child, run.what);
}

async function letGo(context: TaskContext, child: GatedProcess, what: string): Promise<ExecutorResult> {
  const pumps = [pump(child.stdout, context.stdout), pump(child.stderr, context.stderr)];
  child.go();
  try {
    return await supervise(context, {
      what,
      pumps,
      exited: child.exited,
      kill: async () => {
        const { found, left } = await killTree(child.root);
        if (left.length === 0) return { found };
        return { found, left: `on the runner these processes outlived KILL: ${left.join(', ')}` };
      },
    });
  } catch (error) {
    await killTree(child.root, { graceMs: 0 });
    throw error;
  } finally {
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

/** Reaps what `runLocally` started in an earlier process of this runner. */
export const reapLocal: Reaper = async (handle) => {
  const { pid, startTime, bootId, marker } = handle;
  if (typeof pid !== 'number' || typeof startTime !== 'string') return false;
  const killed = await killTree({ pid, startTime, bootId: String(bootId), marker: String(marker) });
  return killed.left.length === 0;
};
