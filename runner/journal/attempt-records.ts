import { attemptKey, type AttemptRef, type TaskResult, type TaskSpec } from '@outrider/protocol';
import type { JournalledAttempt, OutputProgress } from './contract.ts';

export type Handle = Readonly<Record<string, string | number>>;

/** What the record log says of one attempt; also its snapshot when the log is compacted. */
export interface AttemptEntry extends Omit<JournalledAttempt, 'logLength'> {
  /** Milliseconds since the Unix epoch. */
  readonly acknowledgedAt?: number;
  /** Frames of its log were dropped for lack of space. */
  readonly overflowed?: boolean;
  /** Its log was removed, after the acknowledgement, to make room. */
  readonly evicted?: boolean;
}

/**
 *   accepted → Accepted ── started ─→ Started ── finished ─→ Finished ── acknowledged ─→ Acknowledged
 *                 └──────────────── finished ──────────────────↑
 *
 * `handle`, `progress` and `overflow` change a Started attempt in place, `evicted` an Acknowledged one; `forgotten` ends any.
 */
export type JournalRecord = AttemptRef &
  (
    | { readonly k: 'accepted'; readonly generation: string; readonly spec: TaskSpec }
    | { readonly k: 'started'; readonly startedAt: string }
    | { readonly k: 'handle'; readonly handle: Handle }
    | { readonly k: 'progress'; readonly progress: OutputProgress }
    | { readonly k: 'overflow' }
    | { readonly k: 'finished'; readonly result: TaskResult }
    | { readonly k: 'acknowledged'; readonly at: number }
    | { readonly k: 'evicted' }
    | { readonly k: 'forgotten' }
    | { readonly k: 'attempt'; readonly entry: AttemptEntry }
  );

type Change = Exclude<JournalRecord, { readonly k: 'accepted' | 'forgotten' | 'attempt' }>;

/** What a change sets in the entry that it finds. */
const changeOf = (record: Change): Partial<AttemptEntry> => {
  let change: Partial<AttemptEntry>;
  switch (record.k) {
    case 'started':
      change = { state: 'Started', startedAt: record.startedAt };
      break;
    case 'handle':
      change = { handle: record.handle };
      break;
    case 'progress':
      change = { progress: record.progress };
      break;
    case 'overflow':
      change = { overflowed: true };
      break;
    case 'finished':
      change = { state: 'Finished', result: record.result };
      break;
    case 'acknowledged':
      change = { state: 'Acknowledged', acknowledgedAt: record.at };
      break;
    case 'evicted':
      change = { evicted: true };
      break;
  }
  return change;
};

/** What is kept of an attempt for a restored ledger: its result, and not what it was asked to do. */
const evidenceOf = ({ handle: _handle, ...entry }: AttemptEntry): AttemptEntry => ({
  ...entry,
  spec: { ...entry.spec, input: {} },
});

/** The one place where a record changes what is known: at run time once it is durable, and when the log is replayed. */
export const applyRecord = (entries: Map<string, AttemptEntry>, record: JournalRecord): void => {
  const key = attemptKey(record);
  if (record.k === 'forgotten') entries.delete(key);
  else if (record.k === 'attempt') entries.set(key, record.entry);
  else if (record.k === 'accepted') {
    const { task, epoch, generation, spec } = record;
    entries.set(key, { task, epoch, generation, spec, state: 'Accepted' });
  } else {
    const entry = entries.get(key);
    if (entry === undefined) return;
    const changed = { ...entry, ...changeOf(record) };
    entries.set(key, record.k === 'acknowledged' ? evidenceOf(changed) : changed);
  }
};

export const snapshotOf = (entry: AttemptEntry): JournalRecord => ({
  k: 'attempt',
  task: entry.task,
  epoch: entry.epoch,
  entry,
});
