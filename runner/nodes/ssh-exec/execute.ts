import { OutriderError } from '@outrider/protocol';
import { SshPool } from '@outrider/transports/ssh-pool';
import { attemptEnvironment, interpreterWords, MARKER, requireScript, stopResult } from '../attempt.ts';
import type { Executor, Handle, Reattacher, Tidier } from '../contract.ts';
import { runAttached } from './attached.ts';
import { runDetached, watch } from './detached.ts';
import type { RemoteLeader, RemoteTask } from './message.ts';
import { killRemote } from './remote-kill.ts';
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
  const remote = { pool, options, marker: env[MARKER] ?? '' };
  return context.spec.detach === false
    ? runAttached(context, remote, task)
    : runDetached(context, remote, task);
};

export const reattach: Reattacher = async (context, { handle, from }) => {
  const options = await sshOptions(context);
  const { task, epoch } = context.attempt;
  const leader = leaderOf(handle);
  await context.note(`This runner was restarted; looking for the script on ${options.host}:${options.port}.`);
  return watch(context, { pool, options, leader, marker: `${task}/${epoch}` }, { from });
};

export const tidy: Tidier = async (context, handle) => {
  const options = await sshOptions(context);
  const { task, epoch } = context.attempt;
  await killRemote({ pool, options, leader: leaderOf(handle), marker: `${task}/${epoch}` });
};

/** The leader as `execute` journalled it. */
function leaderOf({ pid, startTime, bootId, spool }: Handle): RemoteLeader {
  if (typeof pid !== 'number' || typeof startTime !== 'string' || typeof spool !== 'string') {
    throw new OutriderError({
      code: 'SpoolLost',
      message: 'The journal does not say where on the target the script was left.',
      action: 'Look at the target for what still runs, then decide about the step.',
    });
  }
  return { pid, startTime, bootId: String(bootId), folder: spool };
}
