import { drained, type Pump } from '@outrider/transports/pump';
import { aborted, endResult, stopResult, type ProcessEnd } from './attempt.ts';
import type { ExecutorResult, TaskContext } from './contract.ts';

export interface KillReport {
  /** Something was alive when the kill began. */
  readonly found: boolean;
  /** What outlived it or could not be checked, as a clause; absent when nothing is left. */
  readonly left?: string;
}

/** A process that has been let go. */
export interface Supervised {
  /** Names it in messages, such as "The script". */
  readonly what: string;
  /** Rejects when its end can no longer be learnt. */
  readonly exited: Promise<ProcessEnd>;
  readonly pumps: readonly Pump[];
  /** Ends the whole tree and checks. */
  kill(): Promise<KillReport>;
}

/**
 * Waits for the end or for a stop, whichever is first: an exit that precedes the kill stands as it is. Rejects when
 * `exited` does or the output can no longer be taken; the caller then ends what runs.
 */
export async function supervise(context: TaskContext, running: Supervised): Promise<ExecutorResult> {
  const { signal } = context;
  const broken = Promise.all(running.pumps.map((each) => each.done)).then(
    () => new Promise<never>(() => undefined),
  );
  const first = await Promise.race([running.exited, aborted(signal), broken]);
  if (first === 'stopped') {
    const killed = await running.kill();
    if (killed.left !== undefined) return stopResult(signal, killed.left);
    if (killed.found) {
      await drained(running.pumps);
      return stopResult(signal);
    }
  }
  const end = await running.exited;
  await takeRest(context, running);
  return endResult(end, running.what);
}

/** A background process may hold the output open, silently or not: neither keeps the step from ending. */
async function takeRest(context: TaskContext, running: Supervised): Promise<void> {
  const rest = await Promise.race([drained(running.pumps), aborted(context.signal)]);
  if (rest === true) return;
  if (rest === 'stopped') await running.kill();
  await context.note(
    `${running.what} has ended; a background process still holds its output, which is read no further.`,
  );
}
