import { createHash } from 'node:crypto';
import type { WorkflowRunSpec } from '@outrider/kinds';
import canonicalize from 'canonicalize';

/** SHA-256, lower-case hex, of the RFC 8785 (JCS) form of a JSON value. */
export const digestOf = (value: unknown): string =>
  createHash('sha256')
    .update(canonicalize(value) ?? 'null')
    .digest('hex');

/** With namespace and name the identity of a run, so that a run that is deleted and applied again does not run again. */
export const runSpecDigest = (spec: WorkflowRunSpec): string => {
  const { desiredState: _, ...identity } = spec;
  return digestOf(identity);
};
