import { compactVerify } from 'jose';
import { clientAlgorithms, type PublicKey } from './public-key.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * The JSON object in a compact JWS; undefined when its signature is not of this key or its payload is no object. Times are
 * left to the caller, since the clocks of runners may be off.
 */
export const verifySignedJson = async (jws: string, key: PublicKey): Promise<JsonObject | undefined> => {
  try {
    const { payload } = await compactVerify(jws, key.key, { algorithms: clientAlgorithms });
    const value: unknown = JSON.parse(new TextDecoder().decode(payload));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
};
