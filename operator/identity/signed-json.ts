import { sign, verify, type KeyObject } from 'node:crypto';
import { clientAlgorithms, type PublicKey } from './public-key.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const base64url = /^[A-Za-z0-9_-]+$/;

/** The three parts of a compact JWS as they were sent; undefined when it is none. */
export const splitJws = (jws: string): readonly [string, string, string] | undefined => {
  const [header = '', payload = '', signature = '', ...rest] = jws.split('.');
  const whole = rest.length === 0 && [header, payload, signature].every((part) => base64url.test(part));
  return whole ? [header, payload, signature] : undefined;
};

/** The JSON object in a part of a JWS; undefined when it holds none. */
export const readPart = (part: string): JsonObject | undefined => {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString());
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
};

/**
 * The JSON object in a compact JWS (RFC 7515); undefined when its signature is not of this key or its payload is no object.
 * Times are left to the caller, since the clocks of runners may be off. Node verifies in the thread that asks, in a quarter
 * of the time that WebCrypto takes for its jobs and promises: every request of every runner comes by here.
 */
export const verifySignedJson = (jws: string, key: PublicKey): JsonObject | undefined => {
  const parts = splitJws(jws);
  if (!parts) return undefined;
  const [head, payload, signature] = parts;
  const header = readPart(head);
  // What is critical must be understood, and nothing is (RFC 7515 section 4.1.11).
  if (!header || !clientAlgorithms.includes(header['alg']) || 'crit' in header) return undefined;
  const signed = Buffer.from(`${head}.${payload}`, 'latin1');
  if (!verify(null, signed, key.key, Buffer.from(signature, 'base64url'))) return undefined;
  return readPart(payload);
};

/** A compact JWS over this JSON, by an Ed25519 key. */
export const signJson = (header: { alg: 'EdDSA' } & JsonObject, payload: object, key: KeyObject): string => {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${sign(null, Buffer.from(input, 'latin1'), key).toString('base64url')}`;
};
