import { portalConfigMap } from '@outrider/portal';
import type { KubeClient } from './kube/contract.ts';
import { isNotFound } from './kube/kube-error.ts';
import { configMaps } from './kube/resources.ts';

export interface Published {
  readonly url: string;
  readonly runnerUrl: string;
  readonly caPem: string;
  /** iss and public key (PEM) of attempt tokens: what Vault's jwt auth method is configured with. */
  readonly issuer: string;
  readonly attemptKeyPem: string;
}

/** Says in the ConfigMap outrider-portal where the portal is and how to trust it; makes it where no chart did. */
export const publishPortal = async (
  client: KubeClient,
  namespace: string,
  published: Published,
): Promise<void> => {
  const data = {
    url: published.url,
    runnerUrl: published.runnerUrl,
    'ca.crt': published.caPem,
    issuer: published.issuer,
    'jwt.pub': published.attemptKeyPem,
  };
  const ref = { namespace, name: portalConfigMap };
  try {
    await client.patch(configMaps, ref, { body: { data } });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    await client.create(configMaps, namespace, { apiVersion: 'v1', kind: 'ConfigMap', metadata: ref, data });
  }
};
