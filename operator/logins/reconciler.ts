import type { Login } from '@outrider/kinds';
import type { Cache, KubeClient } from '../kube/contract.ts';
import { keyOf, startController, type Controller } from '../kube/controller.ts';
import type { Logger } from '../kube/logger.ts';
import { logins as loginType } from '../kube/resources.ts';
import { decideLogin } from './decide.ts';

export interface LoginReconcilerDeps {
  readonly logins: Cache<Login>;
  readonly client: Pick<KubeClient, 'delete'>;
  readonly logger: Logger;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** Removes Logins that nobody can use any more. */
export const startLoginReconciler = ({ logins, client, logger, now }: LoginReconcilerDeps): Controller =>
  startController({
    name: 'logins',
    logger,
    cache: logins,
    reconcile: async (login, queue) => {
      const decision = decideLogin(login, now());
      if (decision.action === 'Keep') return queue.addAfter(keyOf(login), decision.forMs);
      const { namespace, name, uid } = login.metadata;
      await client.delete(loginType, { namespace, name, uid });
      logger.debug({ namespace, name, why: decision.why }, 'removed a login');
    },
  });
