import type { Problem } from '@outrider/protocol';

/** From the client to a worker. */
export interface Call {
  readonly id: number;
  readonly name: string;
  readonly args: readonly unknown[];
}

export type Answer =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly problem: Problem };

/** From a worker to its client: first `opened` or `failed`, then one `answers` for each commit. */
export type WorkerMessage =
  | { readonly kind: 'opened'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly problem: Problem }
  | { readonly kind: 'answers'; readonly answers: readonly Answer[]; readonly event?: unknown };
