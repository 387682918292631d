import { OutriderError, type ErrorCode } from '@outrider/protocol';
import type { SshConnection, SshOptions } from '@outrider/transports/ssh-connection';
import type { LeasedChannel, SshPool } from '@outrider/transports/ssh-pool';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TaskContext } from '../contract.ts';
import { ATTACH } from './follow-program.ts';
import type { RemoteLeader } from './message.ts';
import type { SpoolReader } from './spool-reader.ts';
import { attach, newMark } from './spool-session.ts';

/** A lost target is looked for again after this, then after twice as long each time … */
const FIRST_WAIT_MS = 250;
/** … but at least so often, until the step's timeout. */
const LONGEST_WAIT_MS = 10_000;
/** A line that held for so long was a good one: the next wait is a short one again. */
const STABLE_MS = 5_000;
/** How long a target may refuse the login (it may be starting up) before the step gives up on it. */
const REFUSAL_MS = 60_000;
/** From the request to remove the spool to the end of the channel. */
const WIPE_MS = 10_000;
const WIPE_TRIES = 3;

const out: readonly ErrorCode[] = ['ConnectionLost', 'TargetUnreachable'];
const final: readonly ErrorCode[] = ['TargetRestarted', 'SpoolLost'];

export interface OpenLine {
  readonly leased: LeasedChannel;
  readonly mark: string;
}

export interface SpoolPlace {
  readonly context: TaskContext;
  readonly pool: SshPool;
  readonly options: SshOptions;
  readonly leader: RemoteLeader;
}

/** The way to one spool: one channel after the other, for as long as the step may take. */
export class SpoolLine {
  readonly #place: SpoolPlace;
  readonly #reader: SpoolReader;
  readonly #stopped = new AbortController();
  #open: OpenLine | undefined;
  #refusedSince: number | undefined;
  #lost = false;
  #wait = FIRST_WAIT_MS;

  constructor(place: SpoolPlace, reader: SpoolReader, open?: OpenLine) {
    this.#place = place;
    this.#reader = reader;
    this.#open = open;
  }

  /** That of the open channel. */
  get connection(): SshConnection | undefined {
    return this.#open?.leased.connection;
  }

  /** Passes on the output until all is known, it can no longer be learnt, or `stop`. Never rejects. */
  async run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      try {
        if (await this.#followOnce()) return;
      } catch (error) {
        if (this.#isFinal(error)) return this.#reader.fail(error);
      }
      if (this.#stopped.signal.aborted) return;
      await this.#noteLoss();
      await sleep(this.#wait * (0.5 + Math.random() / 2), undefined, { signal: this.#stopped.signal }).catch(
        () => undefined,
      );
      this.#wait = Math.min(LONGEST_WAIT_MS, this.#wait * 2);
    }
  }

  /** Reads no further. The channel stays open for `wipe`. */
  stop(): void {
    this.#stopped.abort();
  }

  /** Removes the spool; what cannot be reached removes itself after a day. Never rejects. */
  async wipe(): Promise<void> {
    for (let tries = 0; tries < WIPE_TRIES; tries++) {
      try {
        await this.#askToWipe((this.#open ??= await this.#connect()));
        return;
      } catch (error) {
        if (error instanceof OutriderError && final.includes(error.code)) return;
        await sleep(FIRST_WAIT_MS * 2 ** tries);
      } finally {
        this.close();
      }
    }
  }

  close(): void {
    this.#open?.leased.channel.close();
    this.#open?.leased.release();
    this.#open = undefined;
  }

  /** True when nothing more is to be read. */
  async #followOnce(): Promise<boolean> {
    const line = (this.#open ??= await this.#connect());
    this.#refusedSince = undefined;
    await this.#noteReturn();
    const since = performance.now();
    const over = await this.#reader.follow(line.leased.channel, line.mark);
    if (over || this.#stopped.signal.aborted) return true;
    this.close();
    if (performance.now() - since >= STABLE_MS) this.#wait = FIRST_WAIT_MS;
    return false;
  }

  async #connect(): Promise<OpenLine> {
    const { context, pool, options, leader } = this.#place;
    const key = { namespace: context.spec.namespace };
    const leased = await pool.exec(key, options, ATTACH, { fresh: true });
    const mark = newMark();
    try {
      await attach(leased, { mark, leader, from: this.#reader.offsets });
    } catch (error) {
      leased.channel.close();
      leased.release();
      throw error;
    }
    return { leased, mark };
  }

  async #askToWipe({ leased: { channel } }: OpenLine): Promise<void> {
    const closed = new Promise<void>((resolve) => channel.once('close', resolve));
    channel.resume();
    channel.stderr.resume();
    channel.write('wipe\n');
    await Promise.race([closed, sleep(WIPE_MS)]);
  }

  #isFinal(error: unknown): boolean {
    if (!(error instanceof OutriderError) || out.includes(error.code)) return false;
    if (final.includes(error.code)) return true;
    this.#refusedSince ??= performance.now();
    return performance.now() - this.#refusedSince >= REFUSAL_MS;
  }

  async #noteLoss(): Promise<void> {
    if (this.#lost) return;
    this.#lost = true;
    const { context, options } = this.#place;
    await context.note(
      `The line to ${options.host}:${options.port} was lost. The script goes on there; its output follows once the line is back.`,
    );
  }

  async #noteReturn(): Promise<void> {
    if (!this.#lost) return;
    this.#lost = false;
    const { context, options } = this.#place;
    await context.note(`The line to ${options.host}:${options.port} is back.`);
  }
}
