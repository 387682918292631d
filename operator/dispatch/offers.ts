import { OutriderError, type Offer } from '@outrider/protocol';
import type { Ledger } from '../ledger/ledger.ts';
import type { TaskRecord } from '../ledger/records.ts';
import type { Board } from './board.ts';
import type { Demand } from './eligibility.ts';
import { Candidates } from './candidates.ts';
import { Heap } from './heap.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';
import { goesBefore } from './waiting-line.ts';
import type { WaitingDemand } from './waiting-tasks.ts';

const maxBatch = 64;
/** Longest time that a timer of Node can be set to. */
const maxTimerMs = 2 ** 31 - 1;

export interface MatcherOptions {
  readonly board: Board;
  readonly sessions: Sessions;
  readonly ledger: Ledger;
  /** How long an offer stands. */
  readonly offerMs: number;
  /** Nothing is offered while it says so: the ledger was restored. */
  readonly paused?: () => boolean;
  readonly now: () => number;
  readonly onError: (error: unknown) => void;
}

const toOffer = (task: TaskRecord): Offer => ({
  task: task.id,
  epoch: task.epoch,
  expiresAt: new Date(task.offerExpiresAt ?? 0).toISOString(),
  spec: task.spec,
});

/**
 * Gives Ready tasks to runners with an open poll and a free slot: higher priority first, within one turn by turn over runs,
 * whatever kind of runner each needs. `pump` is cheap to call and single-flight: it runs at the commit that made a task
 * Ready, at the arrival of a poll, and when a slot becomes free; by a timer only for what waits for a time.
 */
export class Matcher {
  readonly #options: MatcherOptions;
  /** Tasks that this pass has given to a session and the ledger has not yet confirmed. */
  readonly #reserved = new Map<string, number>();
  #pumping = false;
  #again = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: MatcherOptions) {
    this.#options = options;
  }

  pump(): void {
    this.#again = true;
    if (this.#pumping) return;
    this.#pumping = true;
    void this.#loop();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Slots that the operator itself counts as free: capacity less everything held, whatever the runner says. */
  free(session: Session): number {
    if (session.draining || session.closed || session.capability.suspended) return 0;
    const taken =
      this.#options.board.heldCount(session.runner.clientId) +
      (this.#reserved.get(session.runner.clientId) ?? 0);
    const slots = Math.min(session.capacity, session.hello.capacity, session.capability.concurrency);
    return Math.max(0, slots - taken);
  }

  /** Up to `limit` tasks for one session, for the answer to its reports. */
  async offerTo(session: Session, limit: number): Promise<Offer[]> {
    const wanted = Math.min(limit, this.free(session), maxBatch);
    if (wanted <= 0 || this.#isPaused) return [];
    const { board, sessions } = this.#options;
    const lines = board.demands().filter(({ demand }) => sessions.qualified(demand).has(session));
    const tasks: TaskRecord[] = [];
    this.#inTurn(lines, (demand) => {
      const task = tasks.length < wanted ? board.takeReady(demand) : undefined;
      if (task) tasks.push(task);
      return task !== undefined;
    });
    return tasks.length === 0 ? [] : this.#commit(session, tasks);
  }

  get #isPaused(): boolean {
    return this.#options.paused?.() ?? false;
  }

  async #loop(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      if (this.#isPaused) continue;
      const assignments = this.#assign();
      await Promise.all([...assignments].map(([session, tasks]) => this.#deliver(session, tasks)));
    }
    this.#pumping = false;
    this.#wakeWhenDue();
  }

  #wakeWhenDue(): void {
    clearTimeout(this.#timer);
    const { board, now } = this.#options;
    const at = board.nextDue;
    if (at === undefined) return;
    const ms = Math.min(Math.max(1, Math.ceil(at - now())), maxTimerMs);
    this.#timer = setTimeout(() => this.pump(), ms).unref();
  }

  /** Gives each line its turn, the one whose next task goes first before the others, for as long as `give` gives. */
  #inTurn(lines: readonly WaitingDemand[], give: (demand: Demand) => boolean): void {
    const heap = new Heap<WaitingDemand>((a, b) => goesBefore(a.head, b.head));
    for (const line of lines) heap.push(line);
    for (let line = heap.pop(); line !== undefined; line = heap.pop()) {
      if (!give(line.demand)) continue;
      const head = this.#options.board.head(line.demand.signature);
      if (head !== undefined) heap.push({ demand: line.demand, head });
    }
  }

  #assign(): Map<Session, TaskRecord[]> {
    const { board, sessions } = this.#options;
    const assignments = new Map<Session, TaskRecord[]>();
    const free = (session: Session): number =>
      Math.min(this.free(session), maxBatch) - (assignments.get(session)?.length ?? 0);
    const candidates = new Map<string, Candidates>();
    const lines = board.demands().filter(({ demand }) => {
      const few = new Candidates(sessions.qualified(demand), free);
      candidates.set(demand.signature, few);
      return few.leastLoaded() !== undefined;
    });
    this.#inTurn(lines, (demand) => {
      const session = candidates.get(demand.signature)?.leastLoaded();
      const task = session && board.takeReady(demand);
      if (!task) return false;
      assignments.set(session, [...(assignments.get(session) ?? []), task]);
      return true;
    });
    for (const session of assignments.keys()) sessions.toTheEnd(session);
    return assignments;
  }

  async #deliver(session: Session, tasks: TaskRecord[]): Promise<void> {
    const offers = await this.#commit(session, tasks);
    session.offers.push(...offers);
    if (offers.length > 0) session.poll?.wake();
  }

  async #commit(session: Session, tasks: readonly TaskRecord[]): Promise<Offer[]> {
    const { board, ledger, now, offerMs } = this.#options;
    const clientId = session.runner.clientId;
    this.#reserve(clientId, tasks.length);
    try {
      const {
        tasks: changed,
        waiting,
        refused,
      } = await ledger.offerTasks({
        to: session.speaker,
        tasks: tasks.map((task) => ({ task: task.id, epoch: task.epoch })),
        now: now(),
        expiresAt: now() + offerMs,
        ...(Number.isFinite(board.namespaceConcurrency)
          ? { namespaceLimit: board.namespaceConcurrency }
          : {}),
      });
      board.apply(changed);
      for (const why of waiting) board.setAside(why);
      // The slots that these would have had are for others.
      if (waiting.length + refused.length > 0) this.pump();
      return changed.filter((task) => task.state === 'Offered').map(toOffer);
    } catch (error) {
      for (const task of tasks) board.putBack(task);
      this.#giveUp(session, error);
      return [];
    } finally {
      this.#reserve(clientId, -tasks.length);
    }
  }

  /** A session that another one of its key has followed, perhaps at another replica, is told so; the tasks go to others. */
  #giveUp({ runner }: Session, error: unknown): void {
    const isOver = error instanceof OutriderError && error.code === 'SessionSuperseded';
    if (!isOver) return this.#options.onError(error);
    this.#options.sessions.remove(runner.clientId, error);
    this.pump();
  }

  #reserve(clientId: string, count: number): void {
    const left = (this.#reserved.get(clientId) ?? 0) + count;
    if (left === 0) this.#reserved.delete(clientId);
    else this.#reserved.set(clientId, left);
  }
}
