import { OutriderError } from '@outrider/protocol';
import { pump } from '@outrider/transports/pump';
import type { SshOptions } from '@outrider/transports/ssh-connection';
import { SshPool, type LeasedChannel } from '@outrider/transports/ssh-pool';
import { randomBytes } from 'node:crypto';
import {
  aborted,
  attemptEnvironment,
  interpreterWords,
  MARKER,
  requireScript,
  stopResult,
} from '../attempt.ts';
import type { Executor, ExecutorResult, TaskContext } from '../contract.ts';
import { supervise } from '../supervise.ts';
import { BOOTSTRAP } from './bootstrap.ts';
import { encodeMessage, type RemoteLeader, type RemoteTask } from './message.ts';
import { killAfterLoss, killRemote, type RemoteTree } from './remote-kill.ts';
import { exitOf, startRemote } from './session.ts';
import { sshOptions } from './target.ts';

const pool = new SshPool();

/** Ends every kept connection; the next step opens a new one. */
export const closeConnections = (): void => pool.close();

export const execute: Executor = async (context) => {
  const env = attemptEnvironment(context);
  const { workdir, interpreter } = context.spec.input;
  const task: RemoteTask = {
    script: requireScript(context),
    env,
    interpreter: interpreterWords(interpreter),
    ...(workdir === undefined ? {} : { workdir }),
  };
  const options = await sshOptions(context);
  if (context.signal.aborted) return stopResult(context.signal);
  const leased = await connect(context, options);
  if (leased === undefined) return stopResult(context.signal);
  try {
    return await runOn(context, { leased, options, task, marker: env[MARKER] ?? '' });
  } finally {
    leased.channel.close();
    leased.release();
  }
};

/** Undefined if the attempt was stopped meanwhile; a connection that comes later is kept for others. */
async function connect(context: TaskContext, options: SshOptions): Promise<LeasedChannel | undefined> {
  const starting = pool.exec({ namespace: context.spec.namespace }, options, BOOTSTRAP);
  const first = await Promise.race([starting, aborted(context.signal)]);
  if (first !== 'stopped') {
    const { user, host, port } = options;
    await context.note(
      `connected to ${user}@${host}:${port}${first.reused ? ' over a kept connection' : ''}`,
    );
    return first;
  }
  starting.then(
    (late) => {
      late.channel.close();
      late.release();
    },
    () => undefined,
  );
  return undefined;
}

interface RemoteRun {
  readonly leased: LeasedChannel;
  readonly options: SshOptions;
  readonly task: RemoteTask;
  readonly marker: string;
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
  const tree: RemoteTree = { pool, connection, options: run.options, leader, marker: run.marker };
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
