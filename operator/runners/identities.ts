import type { Ledger } from '../ledger/ledger.ts';
import type { RunnerIdentityRecord } from '../ledger/records.ts';

/** Keys by runner, read whole from the ledger every few seconds at most: thousands of runners ask, few join. */
export interface RunnerIdentities {
  of(namespace: string, name: string): Promise<readonly RunnerIdentityRecord[]>;
}

type ByRunner = ReadonlyMap<string, readonly RunnerIdentityRecord[]>;

/**
 * How old an answer may be, in milliseconds: longer the more there is to read, so that reading stays a small part of the work.
 * A runner that is connected counts whatever stands here.
 */
const freshFor = (identities: number): number => Math.min(60_000, Math.max(5000, 5 * identities));

export const createRunnerIdentities = (
  ledger: Pick<Ledger, 'listRunnerIdentities'>,
  now: () => number,
): RunnerIdentities => {
  let known: { freshUntil: number; readonly byRunner: Promise<ByRunner> } | undefined;
  const read = async (): Promise<ByRunner> => {
    const identities = await ledger.listRunnerIdentities();
    if (known !== undefined) known.freshUntil = now() + freshFor(identities.length);
    return Map.groupBy(identities, ({ namespace, name }) => `${namespace}/${name}`);
  };
  return {
    of: async (namespace, name) => {
      if (known === undefined || now() >= known.freshUntil)
        known = { freshUntil: Infinity, byRunner: read() };
      try {
        return (await known.byRunner).get(`${namespace}/${name}`) ?? [];
      } catch (error) {
        known = undefined;
        throw error;
      }
    },
  };
};
