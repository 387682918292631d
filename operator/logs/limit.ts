import type { LogAnswer, LogChunk } from '@outrider/protocol';
import type { LogStore } from './contract.ts';

const tooLong = ({ task, epoch }: LogChunk, maxBytes: number): NonNullable<LogAnswer['error']> => ({
  code: 'PayloadTooLarge',
  message: `The log of task ${task}, epoch ${epoch}, is longer than the ${maxBytes} bytes that the operator keeps of one attempt.`,
  action: 'Print less, or write to a file; or have the operator started with a larger --max-log-mib.',
});

/**
 * Keeps no more than `maxBytes` of one attempt's framed log, so that one script cannot fill the operator's disk. What reaches
 * beyond is refused with PayloadTooLarge and changes nothing; the log then ends Incomplete.
 */
export const limitLogs = (store: LogStore, maxBytes: number): LogStore => ({
  append: async (chunks) => {
    const isWithin = ({ offset, bytes }: LogChunk): boolean => offset + bytes.length <= maxBytes;
    const beyond = chunks.filter((chunk) => !isWithin(chunk));
    if (beyond.length === 0) return store.append(chunks);
    const answers = await store.append(chunks.filter(isWithin));
    const refused = beyond.map(async (chunk): Promise<LogAnswer> => {
      const { task, epoch } = chunk;
      const { offset } = await store.state(chunk);
      return { task, epoch, offset, error: tooLong(chunk, maxBytes) };
    });
    return [...answers, ...(await Promise.all(refused))];
  },
  seal: async (ref, expected) => {
    if (expected.length <= maxBytes) return store.seal(ref, expected);
    await store.abandon(ref);
    return store.state(ref);
  },
  abandon: (ref) => store.abandon(ref),
  state: (ref) => store.state(ref),
  lines: (ref, query) => store.lines(ref, query),
  raw: (ref, options) => store.raw(ref, options),
  onCommit: (listener) => store.onCommit(listener),
  prune: (before) => store.prune(before),
  close: () => store.close(),
});
