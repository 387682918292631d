import type { CredentialStore } from '@outrider/kinds';
import type { Cache, KubeClient, KubeObject, StatusWriter } from '../kube/contract.ts';
import { keyOf, startController, type Controller } from '../kube/controller.ts';
import type { Logger } from '../kube/logger.ts';
import { credentialStores, secrets } from '../kube/resources.ts';
import { decideStore, type SecretState, type StoreFacts } from './decide.ts';
import { probeStore, type ProbeOutcome } from './probe.ts';

export interface StoreReconcilerDeps {
  readonly stores: Cache<CredentialStore>;
  readonly client: Pick<KubeClient, 'get'>;
  readonly status: StatusWriter;
  readonly logger: Logger;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** Between two looks at a store, in milliseconds. @default 60,000 */
  readonly everyMs?: number;
}

interface Look {
  readonly generation: number;
  readonly at: number;
  readonly secret: SecretState;
  readonly probe: ProbeOutcome | undefined;
}

type Secret = KubeObject & { readonly data?: Readonly<Record<string, string>> };

export const allowLabel = 'outrider.dev/allow';

/** Owns CredentialStore.status. A store with access: Operator is looked at once a minute, from here. */
export const startStoreReconciler = (deps: StoreReconcilerDeps): Controller => {
  const { stores, status, logger, now, everyMs = 60_000 } = deps;
  /** The last look by uid: a change of the status alone is no reason for another one. */
  const looks = new Map<string, Look>();

  const look = async (store: CredentialStore): Promise<Look> => {
    const { uid, generation } = store.metadata;
    const known = looks.get(uid);
    if (known?.generation === generation && now() - known.at < everyMs) return known;
    const [secret, probe] = await Promise.all([
      secretState(deps.client, store),
      store.spec.access === 'Operator' ? probeStore(store.spec.vault) : undefined,
    ]);
    const fresh = { generation, at: now(), secret, probe };
    looks.set(uid, fresh);
    return fresh;
  };

  return startController({
    name: 'stores',
    logger,
    cache: stores,
    reconcile: async (store, queue) => {
      const { secret, probe, at } = await look(store);
      const facts: StoreFacts = { store, secret, probe, now: now() };
      status.want(credentialStores, store, decideStore(facts));
      if (store.spec.access === 'Operator') queue.addAfter(keyOf(store), Math.max(1, at + everyMs - now()));
    },
    watch: () => [
      stores.onChange((_, store, before) => {
        if (before !== undefined && before.metadata.uid !== store?.metadata.uid)
          looks.delete(before.metadata.uid);
      }),
    ],
  });
};

const secretState = async (client: Pick<KubeClient, 'get'>, store: CredentialStore): Promise<SecretState> => {
  const name = store.spec.vault.appRole?.secretRef.name;
  if (name === undefined) return 'NotNeeded';
  const secret = await client.get<Secret>(secrets, { namespace: store.metadata.namespace, name });
  if (secret === undefined) return 'Missing';
  if (secret.metadata.labels?.[allowLabel] !== 'true') return 'NotLabelled';
  return secret.data?.['secretId'] ? 'Usable' : 'NoSecretId';
};
