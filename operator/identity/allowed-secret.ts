import { OutriderError } from '@outrider/protocol';
import type { KubeClient } from '../kube/contract.ts';
import { isKubeError } from '../kube/kube-error.ts';
import { secrets } from '../kube/resources.ts';
import { secretValues, type KubeSecret } from './kube-secret.ts';

/** Only Secrets that carry this with the value true are given out: naming a Secret in a workflow must not be enough. */
export const allowLabel = 'outrider.dev/allow';

interface Place {
  readonly namespace: string;
  readonly name: string;
}

const notAllowed = ({ namespace, name }: Place): OutriderError =>
  new OutriderError({
    code: 'SecretNotAllowed',
    message: `The Secret ${name} in namespace ${namespace} is not meant for Outrider: it lacks the label ${allowLabel}=true.`,
    action: `If workflows of ${namespace} may use it: kubectl -n ${namespace} label secret ${name} ${allowLabel}=true`,
  });

const notFound = ({ namespace, name }: Place): OutriderError =>
  new OutriderError({
    code: 'SecretNotFound',
    message: `There is no Secret ${name} in namespace ${namespace}.`,
    action: `Create it with the label ${allowLabel}=true, or correct the credential of the step.`,
  });

const unreadable = ({ namespace, name }: Place, cause: unknown): OutriderError => {
  const forbidden = isKubeError(cause) && cause.status === 403;
  return new OutriderError(
    {
      code: forbidden ? 'StoreDenied' : 'StoreUnreachable',
      message: `The Secret ${name} in namespace ${namespace} could not be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      action: forbidden
        ? `Let the operator read Secrets there: add ${namespace} to the chart's value credentials.namespaces.`
        : 'Try again; if this stays, check the connection of the operator to the API server.',
    },
    { cause },
  );
};

const textOf = (secret: KubeSecret, place: Place): Record<string, string> => {
  try {
    return secretValues(secret);
  } catch (cause) {
    throw new OutriderError(
      {
        code: 'SecretNotAllowed',
        message: `The Secret ${place.name} in namespace ${place.namespace} holds bytes that are not UTF-8 text.`,
        action: 'Store the value as text, such as PEM or base64.',
      },
      { cause },
    );
  }
};

/** Values of a labelled Secret. @throws OutriderError SecretNotFound, SecretNotAllowed, StoreDenied, StoreUnreachable. */
export const readAllowedSecret = async (
  kube: Pick<KubeClient, 'get'>,
  place: Place,
): Promise<Record<string, string>> => {
  let secret: KubeSecret | undefined;
  try {
    secret = await kube.get<KubeSecret>(secrets, place);
  } catch (error) {
    throw unreadable(place, error);
  }
  if (!secret) throw notFound(place);
  if (secret.metadata.labels?.[allowLabel] !== 'true') throw notAllowed(place);
  return textOf(secret, place);
};
