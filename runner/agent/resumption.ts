import { decodeFrames, type AttemptRef } from '@outrider/protocol';
import { isReattachable } from '@outrider/nodes/contract';
import type { Resumption } from '../execution/contract.ts';
import type { Journal, JournalledAttempt } from '../journal/contract.ts';

/** More than the longest frame. */
const blockBytes = 4_194_304;

const beginning = { stdout: { raw: 0, redacted: 0 }, stderr: { raw: 0, redacted: 0 } };

/** Whole frames of a log, and the bytes of each stream in them. */
const countLogged = async (
  journal: Pick<Journal, 'readLog'>,
  ref: AttemptRef,
): Promise<Resumption['logged']> => {
  const bytes = { stdout: 0, stderr: 0, system: 0, gap: 0 };
  let [count, offset] = [0, 0];
  for (;;) {
    const { frames, rest } = decodeFrames(await journal.readLog(ref, offset, blockBytes));
    if (rest === 0) return { frames: count, stdout: bytes.stdout, stderr: bytes.stderr };
    for (const { stream, payload } of frames) bytes[stream] += payload.length;
    count += frames.length;
    offset += rest;
  }
};

/** How to go on with what runs; undefined where it ended with the runner, or was left by a handle that finds it no more. */
export const resumptionOf = async (
  journal: Pick<Journal, 'readLog'>,
  item: JournalledAttempt,
): Promise<Resumption | undefined> => {
  const { handle, startedAt, progress = beginning } = item;
  if (handle === undefined || startedAt === undefined || !isReattachable(handle)) return undefined;
  return { handle, startedAt, progress, logged: await countLogged(journal, item) };
};
