import { SshPool, type LeasedChannel } from '@outrider/transports/ssh-pool';
import type { SshOptions } from '@outrider/transports/ssh-connection';
import { aborted } from '../attempt.ts';
import type { TaskContext } from '../contract.ts';

/** Starts a command. Undefined if the attempt was stopped meanwhile; a connection that comes later is kept for others. */
export async function connect(
  context: TaskContext,
  { pool, options }: { readonly pool: SshPool; readonly options: SshOptions },
  command: string,
): Promise<LeasedChannel | undefined> {
  const starting = pool.exec({ namespace: context.spec.namespace }, options, command);
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
