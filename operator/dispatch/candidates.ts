import type { Session } from './session.ts';

/** Candidates compared per task: the least loaded of a few is nearly as good as the least loaded of all, and bounded. */
const choices = 8;

/**
 * Sessions that may be given work of one kind, a few at a time: of thousands that wait, only as many are looked at as are
 * needed. It lives for one pass, in which a session's free slots only become fewer.
 */
export class Candidates {
  readonly #others: Iterator<Session>;
  readonly #few = new Set<Session>();
  readonly #free: (session: Session) => number;

  constructor(qualified: Iterable<Session>, free: (session: Session) => number) {
    this.#others = qualified[Symbol.iterator]();
    this.#free = free;
  }

  /** The one with the most free slots among the next few with an open poll; undefined when none has any. */
  leastLoaded(): Session | undefined {
    let best: { session: Session; free: number } | undefined;
    for (const session of this.#next()) {
      const free = this.#free(session);
      if (!best || free > best.free) best = { session, free };
    }
    return best?.session;
  }

  #next(): ReadonlySet<Session> {
    for (const session of this.#few) if (!this.#fits(session)) this.#few.delete(session);
    while (this.#few.size < choices) {
      const { done, value } = this.#others.next();
      if (done) break;
      if (this.#fits(value)) this.#few.add(value);
    }
    return this.#few;
  }

  #fits(session: Session): boolean {
    return session.poll !== undefined && this.#free(session) > 0;
  }
}
