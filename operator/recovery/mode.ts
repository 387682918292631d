import { randomUUID } from 'node:crypto';
import type { Changed, Ledger } from '../ledger/ledger.ts';
import type { LedgerMeta } from '../ledger/records.ts';

export interface RecoveryModeOptions {
  readonly ledger: Pick<Ledger, 'readMeta' | 'enterRecovery' | 'leaveRecovery'>;
  /** Takes in tasks as the ledger returned them. */
  readonly apply: (tasks: Changed['tasks']) => void;
  readonly now: () => number;
}

/**
 * Whether the ledger was put back from a copy, so that nothing may be started before a person has confirmed what became of
 * the work since. The ledger holds the state; this is what the rest of the operator sees of it.
 */
export interface RecoveryMode {
  readonly active: boolean;
  /** Why it is active, in words; undefined while it is not. */
  readonly reason: string | undefined;
  /** Since when it is active, in milliseconds since the Unix epoch. */
  readonly since: number | undefined;
  /** Idempotent: the first reason stays. The ledger has a new generation afterwards. */
  enter(reason: string): Promise<void>;
  /** What nobody vouched for waits for a person from then on. */
  leave(by: string): Promise<void>;
  /** Takes over what another replica of the operator has entered or left. */
  refresh(): Promise<void>;
  /** Called after it was entered or left. */
  onChange(listener: () => void): () => void;
}

export const openRecoveryMode = async (options: RecoveryModeOptions): Promise<RecoveryMode> => {
  const { ledger, apply, now } = options;
  const listeners = new Set<() => void>();
  let recovery: LedgerMeta['recovery'] = (await ledger.readMeta()).recovery;
  let tail: Promise<void> = Promise.resolve();

  const take = async (): Promise<boolean> => {
    const was = recovery !== null;
    ({ recovery } = await ledger.readMeta());
    return was !== (recovery !== null);
  };
  const tell = (): void => {
    for (const listener of listeners) listener();
  };

  /** One at a time, whoever asks for it; one that fails leaves the next its chance. */
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const done = tail.then(work);
    tail = done.catch(() => undefined);
    return done;
  };

  const change = async (ask: () => Promise<Changed>): Promise<void> => {
    const changed = await ask();
    await take();
    apply(changed.tasks);
    tell();
  };

  return {
    get active() {
      return recovery !== null;
    },
    get reason() {
      return recovery?.reason;
    },
    get since() {
      return recovery?.since;
    },
    enter: (reason) =>
      inTurn(async () => {
        const command = { generation: randomUUID(), reason, now: now() };
        if (recovery === null) await change(() => ledger.enterRecovery(command));
      }),
    leave: (by) =>
      inTurn(async () => {
        if (recovery !== null) await change(() => ledger.leaveRecovery({ by, now: now() }));
      }),
    refresh: () =>
      inTurn(async () => {
        if (await take()) tell();
      }),
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
};
