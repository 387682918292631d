import type { KubeClient } from '../kube/contract.ts';
import type { KeyBundle, KeyStore } from './key-store.ts';
import { isConflict } from '../kube/kube-error.ts';
import { secrets } from '../kube/resources.ts';
import { secretValues, type KubeSecret } from './kube-secret.ts';

/** Keeps each bundle as a Secret of the operator's own namespace. */
export const createSecretKeyStore = (
  kube: Pick<KubeClient, 'get' | 'create'>,
  namespace: string,
): KeyStore => {
  const load = async (name: string): Promise<KeyBundle | undefined> => {
    const secret = await kube.get<KubeSecret>(secrets, { namespace, name });
    return secret && secretValues(secret);
  };

  const save = async (name: string, data: KeyBundle): Promise<KeyBundle> => {
    const body = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace, labels: { 'app.kubernetes.io/managed-by': 'outrider' } },
      type: 'Opaque',
      stringData: data,
    };
    try {
      await kube.create<KubeSecret>(secrets, namespace, body);
      return data;
    } catch (error) {
      const winner = isConflict(error) ? await load(name) : undefined;
      if (!winner) throw error;
      return winner;
    }
  };

  return { load, save };
};
