import type { AttemptRef, ErrorCode, LogAnswer, LogChunk } from '@outrider/protocol';

/** A log that takes chunks, in whichever store it is. */
export interface IngestTarget {
  readonly ref: AttemptRef;
  /** Bytes held. */
  readonly offset: number;
  /** Its result's length was reached: no byte is taken any more. */
  readonly isSettled: boolean;
  /** True when the stored bytes from `offset` on begin with these. */
  holds(offset: number, bytes: Uint8Array): boolean;
  /** Appends at the offset held. @throws RangeError when the bytes are not frames; then nothing has changed. */
  append(bytes: Uint8Array, now: number): void;
}

const refuse = (log: IngestTarget, code: ErrorCode, message: string, action: string): LogAnswer => ({
  ...log.ref,
  offset: log.offset,
  error: { code, message, action },
});

const name = ({ task, epoch }: LogChunk): string => `epoch ${epoch} of task ${task}`;

/** Appends what is new of a chunk; a refused one changes nothing. */
export const ingest = (log: IngestTarget, chunk: LogChunk, now: number): LogAnswer => {
  const { offset, bytes } = chunk;
  if (offset > log.offset) {
    const message = `The log of ${name(chunk)} is held up to byte ${log.offset}; bytes came for ${offset}.`;
    return refuse(log, 'log_gap', message, `Send it again from byte ${log.offset}.`);
  }
  const overlap = bytes.subarray(0, log.offset - offset);
  if (overlap.length > 0 && !log.holds(offset, overlap)) {
    const message = `Bytes from ${offset} on of the log of ${name(chunk)} differ from those held.`;
    return refuse(
      log,
      'log_conflict',
      message,
      'Stop sending this log: what is held stays, and the log ends incomplete.',
    );
  }
  const fresh = bytes.subarray(overlap.length);
  if (fresh.length === 0) return { ...log.ref, offset: log.offset };
  if (log.isSettled) {
    const message = `The log of ${name(chunk)} ended at byte ${log.offset}, as its result says.`;
    return refuse(log, 'log_conflict', message, 'Stop sending this log: nothing may follow its end.');
  }
  try {
    log.append(fresh, now);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const message = `Bytes from ${log.offset} on of the log of ${name(chunk)} are not log frames (${error.message}).`;
    return refuse(
      log,
      'BadRequest',
      message,
      'This is a defect of the runner: stop sending this log and report it.',
    );
  }
  return { ...log.ref, offset: log.offset };
};
