import type { Runner } from '@outrider/kinds';
import type { Cache } from '../kube/contract.ts';
import type { Ledger } from '../ledger/ledger.ts';

export interface RevocationsOptions {
  readonly runners: Pick<Cache<Runner>, 'list' | 'onChange'>;
  readonly ledger: Pick<Ledger, 'listRunnerIdentities'>;
  /** Cuts open polls of a key and refuses it from now on. */
  readonly revoke: (clientId: string) => void;
  readonly onError: (error: unknown) => void;
}

/**
 * Refuses the keys of revoked runners at this replica: the leader writes it into the ledger, and each replica sees it in the
 * Runner resource itself, without waiting for the leader.
 */
export const watchRevocations = (options: RevocationsOptions): (() => void) => {
  const { runners, ledger, revoke } = options;
  const refuse = async ({ namespace, name }: Runner['metadata']): Promise<void> => {
    try {
      for (const { clientId } of await ledger.listRunnerIdentities({ namespace, name })) revoke(clientId);
    } catch (error) {
      options.onError(error);
    }
  };
  return runners.onChange((_, runner, before) => {
    const isNew = runner?.spec.revoked === true && before?.spec.revoked !== true;
    if (isNew) void refuse(runner.metadata);
  });
};
