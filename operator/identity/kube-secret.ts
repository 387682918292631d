import type { KubeObject, ResourceType } from '../kube/contract.ts';

export const secretType: ResourceType = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret' };

export interface KubeSecret extends KubeObject {
  /** Values in base64. */
  readonly data?: Readonly<Record<string, string>>;
}

/** Values as text. @throws TypeError when a value is not UTF-8. */
export const secretValues = (secret: KubeSecret): Record<string, string> => {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const entries = Object.entries(secret.data ?? {});
  return Object.fromEntries(
    entries.map(([key, value]) => [key, decoder.decode(Buffer.from(value, 'base64'))]),
  );
};

/** True for a failure of the API server with this reason, such as AlreadyExists. */
export const isKubeFailure = (error: unknown, reason: string): boolean =>
  error instanceof Error && 'reason' in error && error.reason === reason;
