import { createHash } from 'node:crypto';
import type { AttemptRef } from '@outrider/protocol';

/** `<task>.<epoch>.log`; a task id that is no plain file name is replaced by its digest. */
export const logName = (ref: AttemptRef): string => {
  const plain = /^[A-Za-z0-9_-]{1,64}$/.test(ref.task);
  return `${plain ? ref.task : `~${createHash('sha256').update(ref.task).digest('hex')}`}.${ref.epoch}.log`;
};
