import { execute, reattach } from '@outrider/nodes/ssh-exec/execute';
import type { ExecutorResult, OutputOffsets } from '@outrider/nodes/contract';
import { testContext, type TestContext, type TestContextOptions } from '@outrider/nodes/test-context';
import type { Connection, NodeInput } from '@outrider/protocol';
import type { Sshd } from '../servers/sshd.ts';

/** Undefined takes away what a target has otherwise. */
type TargetChange = { readonly [K in keyof Connection]?: Connection[K] | undefined };
export type SshMore = Partial<TestContextOptions> & { readonly target?: TargetChange };

const defined = (connection: TargetChange): Connection =>
  Object.fromEntries(Object.entries(connection).filter(([, value]) => value !== undefined));

/** An attempt at an ssh-exec step against `on`, with its key and pinned host key unless `more` says otherwise. */
export function sshAttempt(on: Sshd, input: NodeInput, { target, ...more }: SshMore = {}): TestContext {
  return testContext({
    node: 'ssh-exec',
    input,
    connection: defined({
      host: on.host,
      port: on.port,
      user: on.user,
      hostKey: on.hostKeyFingerprint,
      ...target,
    }),
    credential: { 'ssh-privatekey': on.clientKeyPem },
    ...more,
  });
}

/** Executes it as the runner does: what was kept on the target goes once the result is journalled. */
export async function run(attempt: TestContext): Promise<ExecutorResult> {
  try {
    return await execute(attempt.context);
  } finally {
    attempt.settle();
  }
}

/** The private folder on the target. */
export const folderOf = (attempt: TestContext): string => String(attempt.handles[0]?.['spool']);

/** What a restarted runner does: `later` goes on with what `earlier` started, and has its output up to `from`. */
export async function takeUp(
  earlier: TestContext,
  later: TestContext,
  from: OutputOffsets = { stdout: 0, stderr: 0 },
): Promise<ExecutorResult> {
  const handle = earlier.handles[0];
  if (handle === undefined) throw new Error('nothing was started');
  try {
    return await reattach({ ...later.context, attempt: earlier.context.attempt }, { handle, from });
  } finally {
    later.settle();
  }
}
