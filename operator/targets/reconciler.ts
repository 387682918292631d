import type { CredentialStore, Target } from '@outrider/kinds';
import type { Cache, StatusWriter } from '../kube/contract.ts';
import { keyOf, onExistence, startController, type Controller } from '../kube/controller.ts';
import type { Logger } from '../kube/logger.ts';
import { targets as targetType } from '../kube/resources.ts';
import { missingStores } from '../stores/references.ts';
import { decideTarget } from './decide.ts';

export interface TargetReconcilerDeps {
  readonly targets: Cache<Target>;
  readonly stores: Cache<CredentialStore>;
  readonly status: StatusWriter;
  readonly logger: Logger;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** Owns Target.status. */
export const startTargetReconciler = ({
  targets,
  stores,
  status,
  logger,
  now,
}: TargetReconcilerDeps): Controller =>
  startController({
    name: 'targets',
    logger,
    cache: targets,
    reads: [stores],
    reconcile: (target) => {
      const exists = (store: string): boolean => stores.get(target.metadata.namespace, store) !== undefined;
      const [missingStore] = missingStores([target.spec.credential], exists);
      status.want(targetType, target, decideTarget({ target, missingStore, now: now() }));
      return Promise.resolve();
    },
    watch: (queue) => [
      onExistence(stores, (namespace) => {
        for (const target of targets.list(namespace)) queue.add(keyOf(target));
      }),
    ],
  });
