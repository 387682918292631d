import { createHash, type Hash } from 'node:crypto';
import { encodeFrame, maxLogBatchBytes, type AttemptRef, type LogChunk } from '@outrider/protocol';
import type { SimulatedRunner } from './simulated-runner.ts';

/** Payload of a frame; a frame is what one read of the script's output brings. */
const frameBytes = 8192;
const lineBytes = 80;
const filler = `${' the quick brown fox jumps over the lazy dog'.repeat(2).slice(0, lineBytes - 14)}\n`;

interface Writing {
  readonly ref: AttemptRef;
  readonly hash: Hash;
  offset: number;
  seq: number;
}

export interface LogWriterOptions {
  /** Framed bytes after which an attempt ends. */
  readonly bytesPerAttempt: number;
  readonly onError: (error: unknown) => void;
}

export interface LogWriter {
  /** Writes the logs of these attempts as fast as the operator takes them, and ends them. */
  take(runner: SimulatedRunner, refs: readonly AttemptRef[]): Promise<void>;
  /** Framed bytes that the operator has acknowledged. */
  written(): number;
}

/** Lines of 80 bytes that begin with the instant at which they were made. */
const payload = (): Uint8Array => {
  const line = `${Date.now()}${filler}`;
  return Buffer.from(line.repeat(Math.floor(frameBytes / line.length)), 'latin1');
};

export const createLogWriter = ({ bytesPerAttempt, onError }: LogWriterOptions): LogWriter => {
  const open = new Map<SimulatedRunner, Writing[]>();
  let written = 0;

  const frame = (writing: Writing): Uint8Array => {
    const bytes = encodeFrame({
      seq: writing.seq++,
      stream: 'stdout',
      ts: BigInt(Date.now()) * 1000n,
      payload: payload(),
    });
    writing.hash.update(bytes);
    return bytes;
  };

  /** As the runner's log loop: the space of one upload is shared out among the attempts. */
  const chunkOf = (writing: Writing, share: number): LogChunk => {
    const frames: Uint8Array[] = [];
    let size = 0;
    while (size + 2 * frameBytes < share && writing.offset + size < bytesPerAttempt) {
      const bytes = frame(writing);
      frames.push(bytes);
      size += bytes.length;
    }
    return { ...writing.ref, offset: writing.offset, bytes: Buffer.concat(frames) };
  };

  const uploadOnce = async (runner: SimulatedRunner, writings: readonly Writing[]): Promise<void> => {
    const share = Math.floor(maxLogBatchBytes / writings.length) - 300;
    const chunks = writings.map((writing) => chunkOf(writing, share));
    const { attempts } = await runner.upload(chunks);
    for (const [i, writing] of writings.entries()) {
      const chunk = chunks[i];
      const answer = attempts.find(({ task }) => task === writing.ref.task);
      if (chunk === undefined || answer?.offset !== writing.offset + chunk.bytes.length)
        throw new Error(`the log of ${writing.ref.task} was not taken: ${JSON.stringify(answer)}`);
      writing.offset = answer.offset;
      written += chunk.bytes.length;
    }
  };

  const run = async (runner: SimulatedRunner, writings: Writing[]): Promise<void> => {
    while (writings.length > 0) {
      await uploadOnce(runner, [...writings]);
      const full = writings.filter(({ offset }) => offset >= bytesPerAttempt);
      for (const { ref, hash, offset } of full)
        await runner.finish([ref], { length: offset, sha256: hash.digest('hex') });
      writings.splice(0, writings.length, ...writings.filter((writing) => !full.includes(writing)));
    }
    open.delete(runner);
  };

  return {
    take: async (runner, refs) => {
      const fresh = refs.map((ref) => ({ ref, hash: createHash('sha256'), offset: 0, seq: 0 }));
      const known = open.get(runner);
      if (known !== undefined) {
        known.push(...fresh);
        return;
      }
      const writings: Writing[] = [...fresh];
      open.set(runner, writings);
      await run(runner, writings).catch(onError);
    },
    written: () => written,
  };
};
