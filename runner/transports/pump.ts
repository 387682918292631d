import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

/** Where output goes; a write resolves when more may follow. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<void>;
}

export interface Pump {
  /** Resolves at the end of the stream, also when it ends early; rejects when the sink fails. */
  readonly done: Promise<void>;
  /** Milliseconds since the last byte; 0 while the sink is taking one. */
  idleMs(): number;
}

/** Copies a stream to a sink, reading no further than the sink accepts. */
export function pump(stream: Readable, sink: ByteSink): Pump {
  let last = performance.now();
  let writing = false;
  const copy = async (): Promise<void> => {
    const chunks = stream.iterator({ destroyOnReturn: false });
    for (;;) {
      const next = await chunks.next().catch(() => ENDED);
      if (next.done) return;
      writing = true;
      await sink.write(next.value);
      writing = false;
      last = performance.now();
    }
  };
  return { done: copy(), idleMs: () => (writing ? 0 : performance.now() - last) };
}

const ENDED = { done: true, value: undefined } as const;

/**
 * After the process has ended: waits for the rest of its output. A background process may hold a stream open for ever,
 * so this returns false once nothing has come for `idleMs` (default 1,000).
 */
export async function drained(pumps: readonly Pump[], idleMs = 1_000): Promise<boolean> {
  const started = performance.now();
  const finished = Promise.all(pumps.map((each) => each.done)).then(() => true);
  for (;;) {
    if (await Promise.race([finished, sleep(50, false, { ref: true })])) return true;
    const quiet = Math.min(performance.now() - started, ...pumps.map((each) => each.idleMs()));
    if (quiet >= idleMs) return false;
  }
}
