import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';

/** SHA-256, lower-case hex, of the RFC 8785 (JCS) form of a JSON value. */
export const digestOf = (value: unknown): string =>
  createHash('sha256')
    .update(canonicalize(value) ?? 'null')
    .digest('hex');

/** With namespace and name the identity of a run, so that a run that is deleted and applied again does not run again. */
export const runSpecDigest = <S extends { desiredState?: unknown }>(spec: S): string => {
  const { desiredState: _, ...identity } = spec;
  return digestOf(identity);
};
