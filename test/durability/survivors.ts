import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { attemptKey, decodeFrames, type TaskResult } from '@outrider/protocol';
import { openSqliteLedger } from '@outrider/operator/ledger/sqlite/open';
import type { Ledger } from '@outrider/operator/ledger/ledger';
import type { LogStore } from '@outrider/operator/logs/contract';
import { openSqliteLogStore } from '@outrider/operator/logs/open';
import type { JournalledAttempt } from '@outrider/runner/journal/contract';
import { openJournal } from '@outrider/runner/journal/journal';
import type { Promised } from './promises.ts';

/** Broken promises, as sentences; empty when all were kept. */
export type Broken = string[];

const nameOf = ({ kind, ref }: Promised): string => `${kind} of ${attemptKey(ref)}`;

/** Times change when JSON is stored; everything else of a result is as it was sent. */
const sameResult = (a: TaskResult | null | undefined, b: TaskResult): boolean =>
  isDeepStrictEqual(a === null ? undefined : a, b);

const before = new Set(['Pending', 'Blocked', 'Ready', 'Offered']);
const untilStarted = new Set([...before, 'Claimed']);

const inLedger = async (ledger: Ledger, promised: Promised): Promise<boolean> => {
  const { ref } = promised;
  const task = await ledger.readTask(ref.task);
  if (task === undefined || task.epoch < ref.epoch) return false;
  if (task.epoch > ref.epoch) return true;
  if (promised.kind === 'Accepted') return !before.has(task.state);
  if (promised.kind === 'Started') return !untilStarted.has(task.state);
  return promised.kind !== 'Result' || sameResult(task.result, promised.result);
};

const payloadOf = (framed: Buffer): Buffer =>
  Buffer.concat(
    decodeFrames(framed).frames.flatMap(({ stream, payload }) =>
      stream === 'stdout' || stream === 'stderr' ? [payload] : [],
    ),
  );

const inLogStore = async (
  store: LogStore,
  { ref, offset }: Promised & { kind: 'Log' },
  sent: Buffer,
): Promise<boolean> => {
  if ((await store.state(ref)).offset < offset) return false;
  const pieces: Uint8Array[] = [];
  for await (const piece of store.raw(ref)) pieces.push(piece);
  const payload = payloadOf(sent.subarray(0, offset));
  return Buffer.concat(pieces).subarray(0, payload.length).equals(payload);
};

/** Opens what is left of an operator's data as a starting operator does, and looks for what it had acknowledged. */
export const survivesInOperator = async (
  folder: string,
  promises: readonly Promised[],
  sent: ReadonlyMap<string, Buffer>,
): Promise<Broken> => {
  const ledger = await openSqliteLedger({ file: join(folder, 'ledger.db') });
  const store = await openSqliteLogStore({ dir: join(folder, 'logs') });
  const broken: Broken = [];
  try {
    for (const promised of promises) {
      const log = sent.get(attemptKey(promised.ref)) ?? Buffer.alloc(0);
      const kept =
        promised.kind === 'Log' ? await inLogStore(store, promised, log) : await inLedger(ledger, promised);
      if (!kept) broken.push(nameOf(promised));
    }
  } finally {
    await ledger.close();
    await store.close();
  }
  return broken;
};

const order = ['Accepted', 'Started', 'Finished', 'Acknowledged'];

const inJournal = (entry: JournalledAttempt | undefined, promised: Promised): boolean => {
  const reached = order.indexOf(entry?.state ?? '');
  if (promised.kind === 'Accepted') return reached >= 0;
  if (promised.kind === 'Started') return reached >= 1;
  if (promised.kind !== 'Result') return true;
  return (
    reached >= 2 &&
    sameResult(entry?.result, promised.result) &&
    entry?.logLength === promised.result.log.length
  );
};

/** Opens what is left of a runner's journal as a starting runner does, and looks for what it had told. */
export const survivesInRunner = async (folder: string, promises: readonly Promised[]): Promise<Broken> => {
  const journal = await openJournal({ folder: join(folder, 'journal') });
  try {
    const entries = new Map(journal.attempts().map((entry) => [attemptKey(entry), entry]));
    return promises
      .filter((promised) => !inJournal(entries.get(attemptKey(promised.ref)), promised))
      .map(nameOf);
  } finally {
    await journal.close();
  }
};
