import type { SshConnection, SshOptions } from '@outrider/transports/ssh-connection';
import type { SshPool } from '@outrider/transports/ssh-pool';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KillReport } from '../supervise.ts';
import { KILL } from './kill-program.ts';
import type { RemoteLeader } from './message.ts';

export interface RemoteTree {
  readonly pool: SshPool;
  /** Used if it is still open; a kill may open another one. Absent: it does so at once. */
  readonly connection?: SshConnection | undefined;
  readonly options: SshOptions;
  readonly leader: RemoteLeader;
  /** Value of the marker variable. */
  readonly marker: string;
  /** How long a lost target is looked for. Default: 60,000 ms. */
  readonly reconnectMs?: number;
  /** The folder stays: the end of the script is still to be read from it. */
  readonly keepFolder?: boolean;
}

export interface RemoteKillReport extends KillReport {
  /** The target could not be asked. */
  readonly unreached?: boolean;
}

/** From TERM to KILL. */
const GRACE_S = 5;
/** For the whole call: grace, 5 s after KILL, and the way there and back on a slow line. */
const LIMIT_MS = 60_000;
/** How often a lost target is looked for. */
const RETRY_MS = 2_000;

/** Ends the tree over a channel of its own and says what is left. Never rejects: what cannot be checked is `left`. */
export async function killRemote(tree: RemoteTree): Promise<RemoteKillReport> {
  const timer = new AbortController();
  try {
    const late = sleep(LIMIT_MS, undefined, { signal: timer.signal }).then(() => {
      throw new Error(`no answer within ${LIMIT_MS / 1000} s`);
    });
    return await Promise.race([askToKill(tree), late]);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return {
      found: true,
      unreached: true,
      left: `whether anything of it is left on ${tree.options.host} could not be checked: ${why}`,
    };
  } finally {
    timer.abort();
  }
}

async function askToKill(tree: RemoteTree): Promise<KillReport> {
  const { pool, connection, options, leader, marker, keepFolder } = tree;
  const leased = await pool.execBeside(connection, options, KILL);
  const { channel } = leased;
  try {
    channel.stderr.resume();
    const words = [leader.pid, leader.startTime, leader.bootId, marker, GRACE_S];
    channel.end(`${words.join(' ')} ${keepFolder === true ? 'keep' : 'remove'} ${leader.folder}\n`);
    const chunks: Buffer[] = [];
    for await (const chunk of channel as AsyncIterable<Buffer>) chunks.push(chunk);
    return readReport(Buffer.concat(chunks).toString(), options.host);
  } finally {
    leased.release();
  }
}

function readReport(text: string, host: string): KillReport {
  const [, word, pids] = /^outrider-kill (absent|gone|left)(.*)$/m.exec(text) ?? [];
  if (word === 'absent') return { found: false };
  if (word === 'gone') return { found: true };
  if (word === 'left') return { found: true, left: `on ${host} these processes outlived KILL:${pids}` };
  throw new Error(`${host} gave no answer`);
}

/** Looks for the target for `reconnectMs`, on new lines after the first, and ends what still runs. */
export async function killAfterLoss(tree: RemoteTree): Promise<RemoteKillReport> {
  const deadline = performance.now() + (tree.reconnectMs ?? 60_000);
  for (let line = tree.connection; ; line = undefined) {
    const report = await killRemote({ ...tree, connection: line });
    if (report.unreached !== true || performance.now() + RETRY_MS > deadline) return report;
    await sleep(RETRY_MS);
  }
}
