import type { LockSet } from './lock-sets.ts';

/** A command on its way to an answer. */
export interface Call {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly locks: LockSet;
  /** When it is given up, by performance.now(). */
  readonly deadline: number;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** What became of a call in a transaction, told once that is committed. */
export type Answer =
  | { readonly call: Call; readonly ok: true; readonly value: unknown }
  | { readonly call: Call; readonly ok: false; readonly error: Error };

export const settle = (answer: Answer): void => {
  if (answer.ok) answer.call.resolve(answer.value);
  else answer.call.reject(answer.error);
};
