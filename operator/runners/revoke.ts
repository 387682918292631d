import type { Runner } from '@outrider/kinds';
import type { LiveRunner } from '../dispatch/contract.ts';
import type { Ledger } from '../ledger/ledger.ts';

export interface RevokeDeps {
  readonly ledger: Pick<Ledger, 'listRunnerIdentities' | 'revokeRunnerIdentity' | 'audit'>;
  /** Cuts open polls of a key and refuses it from now on. */
  readonly revoke: (clientId: string) => void;
}

/**
 * Refuses every key of a runner: first in the ledger, so that a crash in between cannot leave one usable, then live. Keys
 * that joined since are refused too, whenever it runs again. Resolves with the keys that were revoked by this call.
 */
export const revokeRunner = async (
  { ledger, revoke }: RevokeDeps,
  runner: Runner,
  at: { readonly live: readonly LiveRunner[]; readonly now: number },
): Promise<readonly string[]> => {
  const { namespace, name } = runner.metadata;
  const identities = await ledger.listRunnerIdentities({ namespace, name });
  const usable = identities.filter((known) => known.revokedAt === null);
  for (const { clientId } of usable) {
    await ledger.revokeRunnerIdentity({ clientId, now: at.now });
    await ledger.audit({
      at: at.now,
      actor: 'outrider',
      action: 'runner.revoke',
      object: `${namespace}/${name}`,
      details: { clientId, generation: runner.metadata.generation },
    });
  }
  const keys = new Set([...usable, ...at.live].map(({ clientId }) => clientId));
  for (const clientId of keys) revoke(clientId);
  return usable.map(({ clientId }) => clientId);
};
