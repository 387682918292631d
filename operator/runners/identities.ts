import type { Ledger } from '../ledger/ledger.ts';
import type { RunnerIdentityRecord } from '../ledger/records.ts';

/** Keys by runner, read whole from the ledger at most every few seconds: thousands of runners ask, few join. */
export interface RunnerIdentities {
  of(namespace: string, name: string): Promise<readonly RunnerIdentityRecord[]>;
}

/** How old an answer may be, in milliseconds. A runner that is connected counts whatever stands here. */
const freshForMs = 5000;

export const createRunnerIdentities = (
  ledger: Pick<Ledger, 'listRunnerIdentities'>,
  now: () => number,
): RunnerIdentities => {
  let known:
    | { readonly at: number; readonly byRunner: Promise<ReadonlyMap<string, RunnerIdentityRecord[]>> }
    | undefined;
  const read = async (): Promise<ReadonlyMap<string, RunnerIdentityRecord[]>> =>
    Map.groupBy(await ledger.listRunnerIdentities(), ({ namespace, name }) => `${namespace}/${name}`);
  return {
    of: async (namespace, name) => {
      if (known === undefined || now() - known.at >= freshForMs) known = { at: now(), byRunner: read() };
      try {
        return (await known.byRunner).get(`${namespace}/${name}`) ?? [];
      } catch (error) {
        known = undefined;
        throw error;
      }
    },
  };
};
