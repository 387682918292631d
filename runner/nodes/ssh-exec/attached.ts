import { OutriderError } from '@outrider/protocol';
import { pump } from '@outrider/transports/pump';
import type { LeasedChannel } from '@outrider/transports/ssh-pool';
import { randomBytes } from 'node:crypto';
import { aborted, stopResult } from '../attempt.ts';
import type { ExecutorResult, TaskContext } from '../contract.ts';
import { supervise } from '../supervise.ts';
import { BOOTSTRAP } from './bootstrap.ts';
import { connect } from './connect.ts';
import type { Remote } from './detached.ts';
import { encodeMessage, type RemoteLeader, type RemoteTask } from './message.ts';
import { killAfterLoss, killRemote, type RemoteTree } from './remote-kill.ts';
import { exitOf, startRemote } from './session.ts';

/** `detach: false`: the script lives and dies with the channel, and leaves nothing on the target but a private folder. */
export async function runAttached(
  context: TaskContext,
  remote: Remote,
  task: RemoteTask,
): Promise<ExecutorResult> {
  const leased = await connect(context, remote, BOOTSTRAP);
  if (leased === undefined) return stopResult(context.signal);
  try {
    return await runOn(context, { ...remote, leased, task });
  } finally {
    leased.channel.close();
    leased.release();
  }
}

interface RemoteRun extends Remote {
  readonly leased: LeasedChannel;
  readonly task: RemoteTask;
}

async function runOn(context: TaskContext, run: RemoteRun): Promise<ExecutorResult> {
  const { leased, options, task } = run;
  const exited = exitOf(leased);
  const mark = randomBytes(16).toString('hex');
  const message = encodeMessage(mark, task);
  const interpreter = task.interpreter.join(' ');
  const starting = startRemote({ leased, mark, message, interpreter, workdir: task.workdir });
  const leader = await Promise.race([starting, aborted(context.signal)]);
  if (leader === 'stopped') {
    // The end of stdin, not a go: the leader ends without having run anything of the user's.
    leased.channel.end();
    starting.catch(() => undefined);
    return stopResult(context.signal);
  }
  const { host, port, user } = options;
  await context.handle({ host, port, user, ...leader });
  if (context.signal.aborted) return stopResult(context.signal);
  return letGo(context, run, { leader, exited });
}

interface Started {
  readonly leader: RemoteLeader;
  readonly exited: ReturnType<typeof exitOf>;
}

async function letGo(
  context: TaskContext,
  run: RemoteRun,
  { leader, exited }: Started,
): Promise<ExecutorResult> {
  const { channel, connection } = run.leased;
  const { pool, options, marker } = run;
  const tree: RemoteTree = { pool, connection, options, leader, marker };
  const pumps = [pump(channel, context.stdout), pump(channel.stderr, context.stderr)];
  channel.end('go\n');
  try {
    const result = await supervise(context, {
      what: 'The script',
      exited,
      pumps,
      kill: () => killRemote(tree),
    });
    return result.signal === undefined ? result : await afterSignal(result, tree);
  } catch (error) {
    if (!(error instanceof OutriderError) || error.code !== 'ConnectionLost') {
      await killRemote(tree);
      throw error;
    }
    return await afterLoss(context, error, tree);
  }
}

/** The signal may have ended the process that kept watch instead of the script: only a look tells. */
async function afterSignal(result: ExecutorResult, tree: RemoteTree): Promise<ExecutorResult> {
  const { left } = await killRemote(tree);
  return left === undefined
    ? result
    : { ...result, unconfirmed: true, message: `${result.message ?? ''} Then ${left}.` };
}

/** The exit code is lost with the line. What still runs is ended, so that nothing goes on unseen. */
async function afterLoss(
  context: TaskContext,
  lost: OutriderError,
  tree: RemoteTree,
): Promise<ExecutorResult> {
  await context.note(`${lost.message} Looking for what it left there.`);
  const { found, left } = await killAfterLoss(tree);
  if (left !== undefined) {
    return {
      outcome: 'Failed',
      reason: lost.code,
      message: `${lost.message} ${capital(left)}.`,
      unconfirmed: true,
    };
  }
  const fate = found
    ? 'The script was still running there and was ended.'
    : 'The script had ended by then; its exit code is not known.';
  return { outcome: 'Failed', reason: lost.code, message: `${lost.message} ${fate}` };
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
