import type { Ledger } from '../ledger/ledger.ts';
import { RunView } from '../planner/run-view.ts';

export interface RunViews {
  /** The run as the ledger has it now; undefined when it does not know it. */
  read(uid: string): Promise<RunView | undefined>;
  /** Forgets a run that is over: nothing of it changes any more. */
  release(view: RunView): void;
}

/**
 * Views of the runs that are open. The ledger is read whole once a run; from then on only for what was written since, so that
 * one result of 10,000 costs as much as one of ten.
 */
export const createRunViews = (ledger: Pick<Ledger, 'readRun' | 'changedSince'>): RunViews => {
  const views = new Map<string, RunView>();

  const readWhole = async (uid: string): Promise<RunView | undefined> => {
    const found = await ledger.readRun(uid);
    if (found === undefined) return undefined;
    const known = views.get(uid);
    if (known === undefined) {
      const view = new RunView(found);
      views.set(uid, view);
      return view;
    }
    // Somebody else read it meanwhile: there is one view of a run.
    known.apply(found);
    return known;
  };

  return {
    read: async (uid) => {
      const view = views.get(uid);
      if (view === undefined) return readWhole(uid);
      const changed = await ledger.changedSince({ uid, revision: view.run.revision });
      if (changed === undefined) {
        views.delete(uid);
        return undefined;
      }
      view.apply(changed);
      return view;
    },
    release: (view) => {
      if (view.run.state !== 'Running') views.delete(view.run.uid);
    },
  };
};
