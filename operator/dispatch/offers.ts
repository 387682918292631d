import type { Offer } from '@outrider/protocol';
import type { Ledger } from '../ledger/ledger.ts';
import type { TaskRecord } from '../ledger/records.ts';
import type { Board } from './board.ts';
import type { Demand } from './eligibility.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';

const maxBatch = 64;
/** Candidates compared per task: the least loaded of a few is nearly as good as the least loaded of all, and bounded. */
const choices = 8;

export interface MatcherOptions {
  readonly board: Board;
  readonly sessions: Sessions;
  readonly ledger: Ledger;
  /** How long an offer stands. */
  readonly offerMs: number;
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
 * Gives Ready tasks to runners with an open poll and a free slot. `pump` is cheap to call and single-flight: it runs at the
 * commit that made a task Ready, at the arrival of a poll, and when a slot becomes free; never by a timer.
 */
export class Matcher {
  readonly #options: MatcherOptions;
  /** Tasks that this pass has given to a session and the ledger has not yet confirmed. */
  readonly #reserved = new Map<string, number>();
  #pumping = false;
  #again = false;

  constructor(options: MatcherOptions) {
    this.#options = options;
  }

  pump(): void {
    this.#again = true;
    if (this.#pumping) return;
    this.#pumping = true;
    void this.#loop();
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
    const tasks: TaskRecord[] = [];
    for (const demand of this.#options.board.demands()) {
      if (!this.#options.sessions.qualified(demand).has(session)) continue;
      while (tasks.length < wanted) {
        const task = this.#options.board.takeReady(demand.signature);
        if (!task) break;
        tasks.push(task);
      }
    }
    return tasks.length === 0 ? [] : this.#commit(session, tasks);
  }

  async #loop(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      const assignments = this.#assign();
      await Promise.all([...assignments].map(([session, tasks]) => this.#deliver(session, tasks)));
    }
    this.#pumping = false;
  }

  #assign(): Map<Session, TaskRecord[]> {
    const assignments = new Map<Session, TaskRecord[]>();
    for (const demand of this.#options.board.demands()) this.#assignDemand(demand, assignments);
    return assignments;
  }

  #assignDemand(demand: Demand, assignments: Map<Session, TaskRecord[]>): void {
    const given = (session: Session): number => assignments.get(session)?.length ?? 0;
    const open = new Set([...this.#options.sessions.qualified(demand)].filter((session) => session.poll));
    while (open.size > 0) {
      const session = this.#leastLoaded(open, given);
      if (!session) return;
      const task = this.#options.board.takeReady(demand.signature);
      if (!task) return;
      const tasks = assignments.get(session) ?? [];
      tasks.push(task);
      assignments.set(session, tasks);
    }
  }

  #leastLoaded(open: Set<Session>, given: (session: Session) => number): Session | undefined {
    let best: { session: Session; free: number } | undefined;
    let compared = 0;
    for (const session of open) {
      const free = Math.min(this.free(session), maxBatch) - given(session);
      if (free <= 0) {
        open.delete(session);
        continue;
      }
      if (!best || free > best.free) best = { session, free };
      if (++compared === choices) break;
    }
    return best?.session;
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
      const { tasks: changed } = await ledger.offerTasks({
        to: session.speaker,
        tasks: tasks.map((task) => ({ task: task.id, epoch: task.epoch })),
        now: now(),
        expiresAt: now() + offerMs,
      });
      board.apply(changed);
      return changed.filter((task) => task.state === 'Offered').map(toOffer);
    } catch (error) {
      for (const task of tasks) board.putBack(task);
      this.#options.onError(error);
      return [];
    } finally {
      this.#reserve(clientId, -tasks.length);
    }
  }

  #reserve(clientId: string, count: number): void {
    const left = (this.#reserved.get(clientId) ?? 0) + count;
    if (left === 0) this.#reserved.delete(clientId);
    else this.#reserved.set(clientId, left);
  }
}
