import { dirname } from 'node:path';
import { attemptKey } from '@outrider/protocol';
import { saidByOperator, saidByRunner, type Said } from './promises.ts';
import type { Recording } from './recording.ts';
import { carried, descriptor, strings, type SystemCall } from './system-calls.ts';

export interface SyncReport {
  /** Acknowledgements, announcements and side effects that were looked at. */
  readonly checked: number;
  /** Those that did not wait for the disk. */
  readonly early: readonly string[];
}

/** Writes and syncs of the files that `matches` takes. */
const callsOn = (calls: readonly SystemCall[], matches: (path: string) => boolean) => {
  const on = calls.filter(({ args }) => matches(descriptor(args)?.name ?? ''));
  return {
    writes: on.filter(({ name }) => name.includes('write')),
    syncs: on.filter(({ name }) => name === 'fdatasync' || name === 'fsync'),
  };
};
type FileCalls = ReturnType<typeof callsOn>;

/** When what was written there after `since` was first on the disk; infinite if never. */
const durableAfter = ({ writes, syncs }: FileCalls, since: number): number => {
  const write = writes.find(({ begun }) => begun > since);
  const sync = write && syncs.find(({ begun }) => begun > write.ended);
  return sync?.ended ?? Number.POSITIVE_INFINITY;
};

/** Each acknowledgement of the operator has a write and then a sync between the request and the answer. */
const earlyOfOperator = ({ operator }: Recording, said: readonly Said[]): string[] => {
  const ledger = callsOn(operator.calls, (path) => path.endsWith('/ledger.db-wal'));
  const logs = callsOn(operator.calls, (path) => dirname(path).endsWith('/logs') && path.endsWith('-wal'));
  return said
    .filter(({ promised, since, at }) => durableAfter(promised.kind === 'Log' ? logs : ledger, since) > at)
    .map(
      ({ promised, at }) => `the operator answered ${promised.kind} of ${attemptKey(promised.ref)} at ${at}`,
    );
};

interface Recorded {
  readonly kind: string;
  readonly key: string;
  readonly durable: number;
}

/** The runner's journal as it came to the disk, record by record. */
const journalOf = ({ runner }: Recording): Recorded[] => {
  const journal = callsOn(runner.calls, (path) => path.endsWith('/journal.log'));
  return journal.writes.flatMap((write) => {
    const sync = journal.syncs.find(({ begun }) => begun > write.ended);
    const text = carried(write).toString('latin1');
    const records = text.matchAll(/"k":"(accepted|started|handle|finished)","task":"([^"]+)","epoch":(\d+)/g);
    return Array.from(records, ([, kind = '', task, epoch]) => ({
      kind,
      key: `${task}/${epoch}`,
      durable: sync?.ended ?? Number.POSITIVE_INFINITY,
    }));
  });
};

const recordFor = { Accepted: 'accepted', Started: 'started', Result: 'finished' } as const;

const earlyOfRunner = (journal: readonly Recorded[], said: readonly Said[]): string[] => {
  const durable = new Map(journal.map(({ kind, key, durable: at }) => [`${kind} ${key}`, at]));
  return said.flatMap(({ promised, at }) => {
    if (promised.kind === 'Log') return [];
    const key = attemptKey(promised.ref);
    const recorded = durable.get(`${recordFor[promised.kind]} ${key}`) ?? Number.POSITIVE_INFINITY;
    return recorded < at ? [] : [`the runner told ${promised.kind} of ${key} at ${at}`];
  });
};

/** The n-th child begins after n starts are on the disk, and is let go after n handles are. */
const earlySideEffects = (journal: readonly Recorded[], calls: readonly SystemCall[]) => {
  const begun = calls.filter(
    (call) => call.name === 'execve' && strings(call).some((word) => word.includes('OUTRIDER_GATE')),
  );
  const letGo = calls.filter((call) => call.name === 'write' && carried(call).equals(Buffer.from('go\n')));
  const early = (effects: readonly SystemCall[], kind: string, what: string): string[] =>
    effects
      .toSorted((a, b) => a.begun - b.begun)
      .filter(
        ({ begun: at }, i) => journal.filter((item) => item.kind === kind && item.durable < at).length <= i,
      )
      .map(({ begun: at }) => `${what} at ${at}`);
  return {
    count: begun.length + letGo.length,
    early: [...early(begun, 'started', 'a child began'), ...early(letGo, 'handle', 'a child was let go')],
  };
};

/** Looks whether everything that was acknowledged, announced or begun was on the disk before. */
export const syncBeforeAcknowledge = (recording: Recording): SyncReport => {
  const byOperator = saidByOperator(recording.operator.exchanges);
  const byRunner = saidByRunner(recording.runner.exchanges);
  const journal = journalOf(recording);
  const effects = earlySideEffects(journal, recording.runner.calls);
  return {
    checked: byOperator.length + byRunner.length + effects.count,
    early: [...earlyOfOperator(recording, byOperator), ...earlyOfRunner(journal, byRunner), ...effects.early],
  };
};
