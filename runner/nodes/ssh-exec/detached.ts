import { OutriderError } from '@outrider/protocol';
import type { SshOptions } from '@outrider/transports/ssh-connection';
import type { SshPool } from '@outrider/transports/ssh-pool';
import { stopResult } from '../attempt.ts';
import type { ExecutorResult, OutputOffsets, TaskContext } from '../contract.ts';
import { supervise, type KillReport } from '../supervise.ts';
import type { RemoteLeader, RemoteTask } from './message.ts';
import { killAfterLoss, type RemoteTree } from './remote-kill.ts';
import { SpoolLine, type OpenLine } from './spool-line.ts';
import { SpoolReader } from './spool-reader.ts';
import { startSpool } from './spool-start.ts';

/** How long a target is looked for that a stopped script runs on. Then the attempt ends `unconfirmed`. */
const STOP_MS = 300_000;
/** Beyond that: the kill itself, and the rest of the output. */
const STOP_MARGIN_MS = 60_000;

export interface Remote {
  readonly pool: SshPool;
  readonly options: SshOptions;
  /** Value of the marker variable. */
  readonly marker: string;
}

/** Starts the script under a keeper on the target and follows it there, over as many connections as it takes. */
export async function runDetached(
  context: TaskContext,
  remote: Remote,
  task: RemoteTask,
): Promise<ExecutorResult> {
  const started = await startSpool(context, remote, task);
  if (started === undefined) return stopResult(context.signal);
  const { leader, line } = started;
  const { host, port, user } = remote.options;
  const giveUp = (): void => {
    // The end of stdin, not a go: the leader ends without having run anything of the user's.
    line.leased.channel.close();
    line.leased.release();
  };
  try {
    const { folder: spool, ...identity } = leader;
    await context.handle({ host, port, user, ...identity, spool });
  } catch (error) {
    giveUp();
    throw error;
  }
  if (context.signal.aborted) {
    giveUp();
    return stopResult(context.signal);
  }
  line.leased.channel.write('go\n');
  return watch(context, { ...remote, leader }, { from: { stdout: 0, stderr: 0 }, line });
}

export interface Watched extends Remote {
  readonly leader: RemoteLeader;
}

/** Where to begin: an open line, or none yet. */
export interface Beginning {
  readonly from: OutputOffsets;
  readonly line?: OpenLine;
}

/** Follows a script that has been let go, to its true end. */
export async function watch(
  context: TaskContext,
  watched: Watched,
  { from, line: open }: Beginning,
): Promise<ExecutorResult> {
  const { pool, options, leader, marker } = watched;
  const reader = new SpoolReader(context, from);
  const line = new SpoolLine({ context, pool, options, leader }, reader, open);
  const tree = (): RemoteTree => ({ pool, connection: line.connection, options, leader, marker });
  let mayRun = false;
  void line.run();
  try {
    const result = await supervise(context, {
      what: 'The script',
      exited: reader.exited,
      pumps: [reader.stdout, reader.stderr],
      kill: () => end(context, { ...tree(), keepFolder: true }),
    });
    mayRun = result.unconfirmed === true;
    return reader.full ? truncated(result, options.host, leader.folder) : result;
  } catch (error) {
    const result = await afterLoss(error, tree());
    mayRun = result.unconfirmed === true;
    return result;
  } finally {
    line.stop();
    if (mayRun) line.close();
    else void context.settled.then(() => line.wipe());
  }
}

/** A target that cannot be reached is looked for: a cancel works once the line is back. */
function end(context: TaskContext, tree: RemoteTree): Promise<KillReport> {
  context.needsTime(STOP_MS + STOP_MARGIN_MS);
  return killAfterLoss({ ...tree, reconnectMs: STOP_MS });
}

/** The end of the script cannot be learnt. What may still run is ended, where that can be done at all. */
async function afterLoss(error: unknown, tree: RemoteTree): Promise<ExecutorResult> {
  if (!(error instanceof OutriderError)) {
    await killAfterLoss({ ...tree, reconnectMs: 0 });
    throw error;
  }
  const failed = { outcome: 'Failed', reason: error.code } as const;
  if (error.code === 'TargetRestarted') return { ...failed, message: `${error.message} ${error.action}` };
  const { found, left } = await killAfterLoss({ ...tree, reconnectMs: 0 });
  if (left !== undefined) {
    return { ...failed, message: `${error.message} ${capital(left)}. ${error.action}`, unconfirmed: true };
  }
  const fate = found ? 'What was left of the script was ended.' : 'Nothing of the script is left running.';
  return { ...failed, message: `${error.message} ${fate} ${error.action}` };
}

/** A script whose output could not be taken has probably died of that: it did not end as it would have. */
const truncated = (result: ExecutorResult, host: string, folder: string): ExecutorResult => ({
  ...result,
  outcome: result.outcome === 'Succeeded' ? 'Failed' : result.outcome,
  reason: 'SpoolFull',
  message: `The file system of ${folder} on ${host} ran full while the script wrote, so that a part of its output is missing. ${result.message ?? 'The script ended with exit code 0.'} Make room there.`,
});

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
