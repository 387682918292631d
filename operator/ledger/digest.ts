import { createHash } from 'node:crypto';
import type { TaskResult } from '@outrider/protocol';
import canonicalize from 'canonicalize';

/** SHA-256, lower-case hex, over the RFC 8785 JSON of a result: equal digests are the same result told twice. */
export const resultDigest = (result: TaskResult): string =>
  createHash('sha256')
    .update(canonicalize(result) ?? '')
    .digest('hex');
