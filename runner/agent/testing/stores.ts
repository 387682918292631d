import {
  attemptKey,
  type HostKeyRequest,
  type HostKeyResponse,
  type LogAnswer,
  type LogChunk,
} from '@outrider/protocol';

export const problem = (code: string, message = code) => ({ code, message, action: 'Test.' });

/** What the operator does with a piece of a log: it appends only at its own offset, and refuses an overlap that differs. */
export const appendTo = (logs: Map<string, Buffer>, { task, epoch, offset, bytes }: LogChunk): LogAnswer => {
  const key = attemptKey({ task, epoch });
  const held = logs.get(key) ?? Buffer.alloc(0);
  if (offset > held.length) return { task, epoch, offset: held.length, error: problem('log_gap') };
  const overlap = held.subarray(offset, offset + bytes.length);
  if (!overlap.equals(bytes.subarray(0, overlap.length)))
    return { task, epoch, offset: held.length, error: problem('log_conflict') };
  const whole = Buffer.concat([held, bytes.subarray(overlap.length)]);
  logs.set(key, whole);
  return { task, epoch, offset: whole.length };
};

/** The first key of a host stays. */
export const learn = (keys: Map<string, string>, { host, port, key }: HostKeyRequest): HostKeyResponse => {
  const name = `${host}:${port}`;
  const known = keys.get(name);
  keys.set(name, known ?? key);
  return { key: known ?? key, learned: known === undefined };
};
