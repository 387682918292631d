import { setTimeout as delay } from 'node:timers/promises';
import { portalPaths, type LineView, type RunView, type TaskView } from '@outrider/portal';
import { CliError } from '../errors.ts';
import { readText } from '../http.ts';
import type { Portal } from './client.ts';
import { LogCursor } from './cursor.ts';
import { EventStreamParser, type StreamEvent } from './event-stream.ts';
import { streamFailure } from './failure.ts';

export type FollowEvent =
  | { readonly type: 'line'; readonly line: LineView }
  | { readonly type: 'task'; readonly task: TaskView }
  | { readonly type: 'run'; readonly run: RunView }
  /** The connection is gone and is being made again. */
  | { readonly type: 'interrupted'; readonly why: string };

export interface FollowOptions {
  readonly portal: Pick<Portal, 'open'>;
  readonly namespace: string;
  readonly run: string;
  readonly step?: string;
  /** Where to go on; the beginning when absent. */
  readonly cursor?: LogCursor;
  readonly signal: AbortSignal;
  /** A run that was created just now may not be known to the portal for this long. @default 0 */
  readonly appearsWithinMs?: number;
  /** Monotonic milliseconds. */
  readonly now?: () => number;
}

/** The server sends something at least every 10 s. */
const silenceMs = 30_000;
const firstPauseMs = 250;
const longestPauseMs = 5000;
/** Without any contact for this long, following ends with the failure. */
const giveUpMs = 10 * 60_000;

const terminal = new Set(['Succeeded', 'Failed', 'TimedOut', 'Cancelled', 'Skipped', 'Lost']);

/** What one connection has shown. */
interface Shown {
  contact: boolean;
  finished: boolean;
  readonly tasks: Map<string, TaskView>;
}

const toEvent = (event: StreamEvent): FollowEvent | undefined => {
  if (event.event === 'line') return { type: 'line', line: JSON.parse(event.data) as LineView };
  if (event.event === 'task') return { type: 'task', task: JSON.parse(event.data) as TaskView };
  if (event.event === 'run') return { type: 'run', run: JSON.parse(event.data) as RunView };
  if (event.event === 'problem') throw streamFailure(event.data);
  return undefined;
};

const remember = (shown: Shown, event: FollowEvent): void => {
  if (event.type === 'task') shown.tasks.set(event.task.id, event.task);
  // The server sends the final state of a run behind its last line.
  if (event.type === 'run') shown.finished = event.run.finishedAt !== undefined;
};

const pathOf = ({ namespace, run, step }: FollowOptions, query: Readonly<Record<string, string>>): string => {
  const all = new URLSearchParams({ ...query, ...(step === undefined ? {} : { step }) });
  return `${portalPaths.log(namespace, run)}?${all.toString()}`;
};

/** Events of one connection, each line once. */
async function* connection(
  options: FollowOptions,
  cursor: LogCursor,
  shown: Shown,
): AsyncGenerator<FollowEvent> {
  const after = cursor.after();
  const path = pathOf(options, { follow: 'true', ...(after === undefined ? {} : { after }) });
  const answer = await options.portal.open(path, { signal: options.signal, silenceMs });
  const parser = new EventStreamParser();
  for await (const bytes of answer.body) {
    shown.contact = true;
    for (const each of parser.push(bytes)) {
      const event = toEvent(each);
      if (event === undefined || (event.type === 'line' && !cursor.take(event.line))) continue;
      remember(shown, event);
      yield event;
    }
  }
}

/** Of one step only: every task that the connection showed has ended, and its log has been read to the end. */
const stepIsOver = ({ tasks }: Shown, cursor: LogCursor): boolean =>
  tasks.size > 0 &&
  [...tasks.values()].every(
    ({ id, epoch, state, log }) =>
      terminal.has(state) && (log.end === 'Open' || cursor.next(id, epoch) >= log.lines),
  );

const pause = async (ms: number, signal: AbortSignal): Promise<void> => {
  await delay(ms, undefined, { signal }).catch(() => undefined);
};

/** Decides after each connection whether to end, to fail or to go on. */
class Resumption {
  readonly #options: FollowOptions;
  readonly #now: () => number;
  readonly #started: number;
  #lastContact: number;
  #pause = firstPauseMs;
  #stepOver = false;

  constructor(options: FollowOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#started = this.#now();
    this.#lastContact = this.#started;
  }

  contact(): void {
    this.#lastContact = this.#now();
    this.#pause = firstPauseMs;
  }

  /**
   * A stream that ended by itself: true when there is nothing more to come. Servers that stop end streams too, so that the
   * end of a step counts when a second connection confirms it.
   */
  async isOver(shown: Shown, cursor: LogCursor): Promise<boolean> {
    if (this.#options.signal.aborted) return true;
    if (this.#options.step !== undefined && shown.tasks.size === 0) await this.#probe();
    if (shown.finished) return true;
    if (this.#options.step === undefined) return false;
    const confirmed = this.#stepOver;
    this.#stepOver = stepIsOver(shown, cursor);
    return confirmed && this.#stepOver;
  }

  /** Where there is no such step, the server says so in its own words. */
  async #probe(): Promise<void> {
    const { portal, signal } = this.#options;
    await readText(await portal.open(pathOf(this.#options, { limit: '1' }), { signal }));
  }

  /** True when the failure is passing and the user should hear of it. @throws the failure when it is final. */
  isPassing(error: unknown): boolean {
    if (!(error instanceof CliError)) throw error;
    if (error.code === 'NotFound' && this.#now() - this.#started < (this.#options.appearsWithinMs ?? 0))
      return false;
    if (!error.transient || this.#now() - this.#lastContact > giveUpMs) throw error;
    return true;
  }

  async wait(): Promise<void> {
    await pause(this.#pause, this.#options.signal);
    this.#pause = Math.min(this.#pause * 2, longestPauseMs);
  }
}

/**
 * Follows the log of a run until it has ended and every line was given, each exactly once whatever happens to the
 * connection. Ends early, without a word, when the signal is aborted.
 * @throws CliError when the portal refuses, or does not answer for ten minutes.
 */
export async function* followLog(options: FollowOptions): AsyncGenerator<FollowEvent> {
  const cursor = options.cursor ?? new LogCursor();
  const resumption = new Resumption(options);
  while (!options.signal.aborted) {
    const shown: Shown = { contact: false, finished: false, tasks: new Map() };
    try {
      for await (const event of connection(options, cursor, shown)) {
        resumption.contact();
        yield event;
      }
      if (await resumption.isOver(shown, cursor)) return;
    } catch (error) {
      if (options.signal.aborted) return;
      if (resumption.isPassing(error))
        yield { type: 'interrupted', why: error instanceof Error ? error.message : String(error) };
    }
    if (shown.contact) resumption.contact();
    await resumption.wait();
  }
}
