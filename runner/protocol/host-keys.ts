import { Closed, Flag, Integer, Text, type Static } from '@outrider/schema';
import { Envelope } from './messages.ts';
import { AttemptRef } from './task.ts';

/**
 * Asked before a login under `hostKeyPolicy: AcceptNew`: the first key of a host is written to the ledger, later calls are
 * answered with the one on record. The runner compares, so that two runners never trust two keys of one host.
 */
export const HostKeyRequest = Closed({
  ...Envelope,
  ...AttemptRef.properties,
  host: Text({ maxLength: 253, minLength: 1 }),
  port: Integer({ minimum: 1, maximum: 65_535 }),
  /** As in known_hosts: algorithm, a space, base64. */
  key: Text({ maxLength: 4096, minLength: 1 }),
});
export type HostKeyRequest = Static<typeof HostKeyRequest>;
export const HostKeyResponse = Closed({
  key: Text({ maxLength: 4096 }),
  /** True when this call wrote it. */
  learned: Flag(),
});
export type HostKeyResponse = Static<typeof HostKeyResponse>;
