import type { KubeObject } from '../kube/contract.ts';

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
