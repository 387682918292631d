/** What an open poll wants to hear of. */
export interface PollListener {
  /** It has been silent for long enough that a byte is due. */
  onSilence(): void;
}

export interface OpenPoll {
  /** Aborted when the client goes away before its answer, or the server stops. */
  readonly gone: AbortController;
  close(): void;
}

/**
 * The polls that a server holds, thousands of them: one timer for the keepalive bytes of all. As every poll waits equally
 * long for its next byte, those that are due stand first and the others are not looked at.
 */
export class OpenPolls {
  readonly #due = new Map<PollListener, number>();
  readonly #open = new Set<AbortController>();
  readonly #keepaliveMs: number;
  readonly #stopping: AbortSignal;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: { readonly keepaliveMs: number; readonly stopping: AbortSignal }) {
    this.#keepaliveMs = options.keepaliveMs;
    this.#stopping = options.stopping;
    options.stopping.addEventListener('abort', () => {
      for (const gone of this.#open) gone.abort();
    });
  }

  add(listener: PollListener): OpenPoll {
    const gone = new AbortController();
    if (this.#stopping.aborted) gone.abort();
    this.#open.add(gone);
    this.#due.set(listener, performance.now() + this.#keepaliveMs);
    this.#timer ??= setInterval(() => this.#tick(), Math.max(1, this.#keepaliveMs / 20)).unref();
    return {
      gone,
      close: () => {
        this.#open.delete(gone);
        this.#due.delete(listener);
      },
    };
  }

  #tick(): void {
    const now = performance.now();
    for (const [listener, at] of this.#due) {
      if (at > now) return;
      this.#due.delete(listener);
      this.#due.set(listener, now + this.#keepaliveMs);
      listener.onSilence();
    }
    if (this.#due.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
