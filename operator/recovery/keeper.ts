import type { WorkflowRun } from '@outrider/kinds';
import type { EventRecorder, KubeObject } from '../kube/contract.ts';
import type { Logger } from '../kube/logger.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { restoreEvidence, type SeenRun } from './evidence.ts';
import type { RecoveryMode } from './mode.ts';
import type { WitnessStore } from './witness.ts';

export interface KeeperOptions {
  readonly ledger: Pick<
    Ledger,
    'restored' | 'readMeta' | 'advanceSequence' | 'openRuns' | 'readRun' | 'diagnostics'
  >;
  readonly mode: RecoveryMode;
  readonly witness: WitnessStore;
  readonly runs: readonly WorkflowRun[];
  readonly events: EventRecorder;
  readonly logger: Logger;
  readonly now: () => number;
}

export interface RecoveryKeeper {
  /** What its timer does: a confirmation is looked for, and the witness written when it is due. */
  tick(): Promise<void>;
  /** Writes the last word of this ledger. */
  stop(): Promise<void>;
}

const everyMs = 2000;
/** The ledger's sequence is advanced and told to the cluster at most this often, and only when something was committed. */
export const witnessEveryMs = 10_000;

/** Whom the audit trail names: Kubernetes checked who may annotate, and its own audit log has the name. */
const confirmer = 'annotation outrider.dev/recovery-confirmed';

/** Runs that are open in the cluster or in the ledger: only these can show that one of the two is behind. */
const seenRuns = async (
  ledger: KeeperOptions['ledger'],
  runs: readonly WorkflowRun[],
): Promise<readonly SeenRun[]> => {
  const open = new Map((await ledger.openRuns()).map((known) => [known.run.uid, known]));
  const seen: SeenRun[] = [];
  for (const run of runs) {
    const { uid } = run.metadata;
    const begun = run.status?.startTime !== undefined && run.status.completionTime === undefined;
    const known = open.get(uid) ?? (begun ? await ledger.readRun(uid) : undefined);
    if (known !== undefined || begun) seen.push({ run, known });
  }
  return seen;
};

/**
 * Compares the ledger with what the cluster remembers of it, and enters recovery when it was put back from a copy. Each replica
 * does so before it serves anything: others may serve while none leads.
 */
export const checkForRestore = async (
  options: Pick<KeeperOptions, 'ledger' | 'mode' | 'witness' | 'runs'>,
): Promise<void> => {
  const { ledger, mode, witness } = options;
  if (mode.active) return;
  if (ledger.restored !== undefined) {
    await mode.enter(ledger.restored);
    return;
  }
  const found = await witness.read();
  if (found === undefined) return;
  const runs = await seenRuns(ledger, options.runs);
  const evidence = restoreEvidence({ meta: await ledger.readMeta(), witness: found, runs });
  if (evidence !== undefined) await mode.enter(evidence);
};

/**
 * Checks whether the ledger was put back from a copy, and keeps the cluster's memory of it fresh from then on. Call it before
 * anything is served.
 */
export const startRecoveryKeeper = async (options: KeeperOptions): Promise<RecoveryKeeper> => {
  const { ledger, mode, witness, events, logger, now } = options;
  let writtenAt = -Infinity;
  let commits = -1;
  let known: KubeObject | undefined;

  const say = (): void => {
    if (known === undefined) return;
    if (mode.active) {
      logger.error(
        { reason: mode.reason },
        'the ledger is in recovery: nothing is started until it is confirmed',
      );
      const note = `${mode.reason} Nothing is started until an administrator confirms with \`outrider recovery confirm\`.`;
      events.record(known, { type: 'Warning', reason: 'RecoveryActive', action: 'Recover', note });
      return;
    }
    logger.info({}, 'recovery is over: work goes on');
    const note =
      'An administrator confirmed, and work goes on; what no runner vouched for waits for a person.';
    events.record(known, { type: 'Normal', reason: 'RecoveryEnded', action: 'Recover', note });
  };

  const write = async (): Promise<void> => {
    await ledger.advanceSequence({});
    const { generation, sequence, term } = await ledger.readMeta();
    known = await witness.write({
      generation,
      sequence,
      term,
      state: mode.active ? 'Recovery' : 'Normal',
      reason: mode.reason,
      since: mode.since,
    });
    writtenAt = now();
    ({ commits } = await ledger.diagnostics());
  };

  /** The witness is written when something was committed; the cluster may be out of reach, then it is tried again. */
  const writeWhenDue = async (): Promise<void> => {
    if (now() - writtenAt < witnessEveryMs) return;
    if ((await ledger.diagnostics()).commits !== commits) await write();
  };

  const lookForConfirmation = async (): Promise<void> => {
    const { generation } = await ledger.readMeta();
    const found = await witness.read();
    if (found?.confirmed === generation) await mode.leave(confirmer);
  };

  const guarded = async (what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      logger.warn({ err: error }, `could not ${what}; trying again`);
    }
  };

  const tell = (): Promise<void> =>
    guarded('write down the state of the ledger', async () => {
      writtenAt = -Infinity;
      await write();
    }).then(say);

  await checkForRestore(options);
  await write();
  if (mode.active) say();
  const unlisten = mode.onChange(() => void tell());

  const tick = async (): Promise<void> => {
    if (mode.active) await guarded('look for the confirmation of the recovery', lookForConfirmation);
    await guarded('write down the state of the ledger', writeWhenDue);
  };
  let ticking: Promise<void> | undefined;
  const timer = setInterval(() => {
    ticking ??= tick().finally(() => (ticking = undefined));
  }, everyMs);

  return {
    tick,
    stop: async () => {
      clearInterval(timer);
      unlisten();
      await ticking;
      await guarded('write down the state of the ledger', write);
    },
  };
};
