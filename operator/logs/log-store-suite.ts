import { createHash } from 'node:crypto';
import { encodeFrame, type AttemptRef, type StreamName } from '@outrider/protocol';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openMs, type LogStore } from './contract.ts';
import { expected, frames, noon, ref, sha256 } from './test-frames.ts';

/** A place for logs that is empty at the start of each test. */
export interface LogPlace {
  open(now: () => number): Promise<LogStore>;
  /** Days of which anything is kept, such as 2026-11-22. */
  days(): Promise<readonly string[]>;
  remove(): Promise<void>;
}

/** What every implementation of the log store does. */
export const describeLogStore = (makePlace: () => Promise<LogPlace>): void => {
  let place: LogPlace;
  let store: LogStore;
  let now: number;
  const open = () => place.open(() => now);
  beforeEach(async () => {
    place = await makePlace();
    now = noon;
    store = await open();
  });
  afterEach(async () => {
    await store.close();
    await place.remove();
  });

  const reopen = async (): Promise<void> => {
    await store.close();
    store = await open();
  };

  const append = async (offset: number, bytes: Uint8Array) => {
    const [answer] = await store.append([{ ...ref, offset, bytes }]);
    return answer;
  };
  const texts = async (from = 0, limit = 1000) =>
    (await store.lines(ref, { from, limit })).map(({ line, text, complete }) => [line, text, complete]);
  const raw = async (stream?: StreamName): Promise<Buffer> => {
    const pieces: Uint8Array[] = [];
    for await (const piece of store.raw(ref, stream === undefined ? {} : { stream })) pieces.push(piece);
    return Buffer.concat(pieces);
  };

  describe('append', () => {
    test('appends at the offset held and tells the new one', async () => {
      const bytes = frames(['stdout', 'hello\n']);
      expect(await append(0, bytes)).toEqual({ ...ref, offset: bytes.length });
      expect(await store.state(ref)).toEqual({ offset: bytes.length, lines: 1, end: 'Open' });
    });

    test('answers a gap with the offset held and changes nothing', async () => {
      const bytes = frames(['stdout', 'hello\n']);
      await append(0, bytes);
      expect(await append(bytes.length + 5, bytes)).toEqual({
        ...ref,
        offset: bytes.length,
        error: {
          code: 'log_gap',
          message: 'The log of epoch 1 of task task-1 is held up to byte 26; bytes came for 31.',
          action: 'Send it again from byte 26.',
        },
      });
      expect(await store.state(ref)).toEqual({ offset: bytes.length, lines: 1, end: 'Open' });
    });

    test('skips an overlap that is equal and appends the rest', async () => {
      const bytes = frames(['stdout', 'hello\n'], ['stdout', 'world\n']);
      await append(0, bytes.subarray(0, 30));
      expect(await append(10, bytes.subarray(10))).toEqual({ ...ref, offset: bytes.length });
      expect(await append(0, bytes)).toEqual({ ...ref, offset: bytes.length });
      expect((await raw()).toString()).toBe('hello\nworld\n');
    });

    test('refuses an overlap that differs, and changes nothing', async () => {
      const bytes = frames(['stdout', 'hello\n']);
      const other = frames(['stdout', 'HELLO\n'], ['stdout', 'more\n']);
      await append(0, bytes);
      const answer = await append(0, other);
      expect(answer).toEqual({
        ...ref,
        offset: bytes.length,
        error: {
          code: 'log_conflict',
          message: 'Bytes from 0 on of the log of epoch 1 of task task-1 differ from those held.',
          action: 'Stop sending this log: what is held stays, and the log ends incomplete.',
        },
      });
      expect((await raw()).toString()).toBe('hello\n');
      expect(await store.seal(ref, expected(bytes))).toEqual({
        offset: bytes.length,
        lines: 1,
        end: 'Complete',
      });
    });

    test('refuses bytes that are not frames without disturbing the other chunks of the batch', async () => {
      const bytes = frames(['stdout', 'hello\n']);
      const other = { task: 'task-2', epoch: 1 };
      const answers = await store.append([
        { ...ref, offset: 0, bytes: Buffer.alloc(40, 0xff) },
        { ...other, offset: 0, bytes },
      ]);
      expect(answers.map(({ offset, error }) => [offset, error?.code])).toEqual([
        [0, 'BadRequest'],
        [bytes.length, undefined],
      ]);
      expect(await append(0, bytes)).toEqual({ ...ref, offset: bytes.length });
    });

    test('tells listeners after the commit which attempts grew', async () => {
      const heard: (readonly AttemptRef[])[] = [];
      const stop = store.onCommit((refs) => heard.push(refs));
      const bytes = frames(['stdout', 'a\n']);
      await append(0, bytes);
      await append(0, bytes);
      stop();
      await append(bytes.length, frames(['stdout', 'b\n']));
      expect(heard).toEqual([[ref]]);
    });
  });

  describe('lines', () => {
    test('shows a growing line as incomplete until its newline comes', async () => {
      const [first, second] = [
        frames(['stdout', 'Continue? ']),
        frames(['stderr', 'note\n'], ['stdout', 'yes\n']),
      ];
      await append(0, first);
      expect(await texts()).toEqual([[0, 'Continue? ', false]]);
      await append(first.length, second);
      expect(await texts()).toEqual([
        [0, 'Continue? yes', true],
        [1, 'note', true],
      ]);
    });

    test('takes the last line as ended when the log is sealed', async () => {
      const bytes = frames(['stdout', 'no newline']);
      await append(0, bytes);
      await store.seal(ref, expected(bytes));
      expect(await texts()).toEqual([[0, 'no newline', true]]);
    });

    test('reads any page of many thousand lines, whatever the pieces were', async () => {
      const all = Array.from({ length: 5000 }, (_, line) => `line ${line}`);
      const bytes = Buffer.concat(
        all.map((text, seq) =>
          encodeFrame({ seq, stream: 'stdout', ts: 0n, payload: Buffer.from(`${text}\n`) }),
        ),
      );
      for (let at = 0; at < bytes.length; at += 999) await append(at, bytes.subarray(at, at + 999));
      for (const from of [0, 1, 255, 256, 257, 3000, 4990, 5000, 6000]) {
        expect((await texts(from, 20)).map(([, text]) => text)).toEqual(all.slice(from, from + 20));
      }
    });

    test('finds a line of one stream that ends long after later lines of the other', async () => {
      const noise = Array.from({ length: 2000 }, (_, line) => `${line}\n`).join('');
      await append(0, frames(['stdout', 'start '], ['stderr', noise], ['stdout', 'end\n']));
      expect(await texts(0, 2)).toEqual([
        [0, 'start end', true],
        [1, '0', true],
      ]);
    });

    test('has none for an attempt that is not known', async () => {
      expect(await texts()).toEqual([]);
      expect(await store.state(ref)).toEqual({ offset: 0, lines: 0, end: 'Open' });
    });
  });

  describe('seal', () => {
    test('settles when the last bytes come after it', async () => {
      const bytes = frames(['stdout', 'one\n'], ['stdout', 'two\n']);
      await append(0, bytes.subarray(0, 30));
      expect((await store.seal(ref, expected(bytes))).end).toBe('Open');
      await append(30, bytes.subarray(30));
      expect(await store.state(ref)).toEqual({ offset: bytes.length, lines: 2, end: 'Complete' });
    });

    test('settles at once for a log without bytes', async () => {
      expect(await store.seal(ref, expected(Buffer.alloc(0)))).toEqual({
        offset: 0,
        lines: 0,
        end: 'Complete',
      });
    });

    test('is Incomplete when the digest or the length differs', async () => {
      const bytes = frames(['stdout', 'one\n']);
      await append(0, bytes);
      expect((await store.seal(ref, { length: bytes.length, sha256: sha256(Buffer.from('x')) })).end).toBe(
        'Incomplete',
      );
      const other = { task: 'task-2', epoch: 1 };
      await store.append([{ ...other, offset: 0, bytes }]);
      expect((await store.seal(other, { length: 3, sha256: sha256(bytes) })).end).toBe('Incomplete');
    });

    test('takes nothing after the end that the result names', async () => {
      const bytes = frames(['stdout', 'one\n']);
      await append(0, bytes);
      await store.seal(ref, expected(bytes));
      expect(await append(bytes.length, bytes)).toMatchObject({
        offset: bytes.length,
        error: { code: 'log_conflict' },
      });
      expect(await append(0, bytes)).toEqual({ ...ref, offset: bytes.length });
    });

    test('of an abandoned log makes it Complete after all, should a late runner bring the rest', async () => {
      const bytes = frames(['stdout', 'one\n'], ['stdout', 'two\n']);
      await append(0, bytes.subarray(0, 30));
      await store.abandon(ref);
      expect((await store.state(ref)).end).toBe('Incomplete');
      await append(30, bytes.subarray(30));
      expect((await store.seal(ref, expected(bytes))).end).toBe('Complete');
    });
  });

  describe('a store that is opened again', () => {
    test('goes on in the middle of a frame, a line and a character', async () => {
      const bytes = frames(['stdout', 'price: €'], ['stdout', ' 5\nnext\n']);
      for (let at = 0; at < bytes.length; at += 7) {
        await append(at, bytes.subarray(at, at + 7));
        await reopen();
      }
      expect(await texts()).toEqual([
        [0, 'price: € 5', true],
        [1, 'next', true],
      ]);
      expect((await store.seal(ref, expected(bytes))).end).toBe('Complete');
    });

    test('remembers what it was sealed with', async () => {
      const bytes = frames(['stdout', 'one\n']);
      await store.seal(ref, expected(bytes));
      await reopen();
      await append(0, bytes);
      expect((await store.state(ref)).end).toBe('Complete');
    });

    test('finds an attempt of yesterday and appends to its day', async () => {
      const bytes = frames(['stdout', 'one\n'], ['stdout', 'two\n']);
      await append(0, bytes.subarray(0, 30));
      now += 86_400_000;
      await reopen();
      await append(30, bytes.subarray(30));
      await store.append([{ task: 'task-2', epoch: 1, offset: 0, bytes }]);
      expect(await place.days()).toEqual(['2026-11-22', '2026-11-23']);
      expect(await texts()).toEqual([
        [0, 'one', true],
        [1, 'two', true],
      ]);
    });
  });

  test('20 MB come back byte for byte, in pieces of at most 64 KiB', { timeout: 60_000 }, async () => {
    const payload = Buffer.from('0123456789abcdef'.repeat(4000));
    const pieces = Array.from({ length: 313 }, (_, seq) =>
      encodeFrame({ seq, stream: seq % 2 === 0 ? 'stdout' : 'stderr', ts: 0n, payload }),
    );
    const bytes = Buffer.concat(pieces);
    const starts = Array.from({ length: Math.ceil(bytes.length / 65_536) }, (_, index) => index * 65_536);
    await Promise.all(starts.map((at) => append(at, bytes.subarray(at, at + 65_536))));
    expect((await store.seal(ref, expected(bytes))).end).toBe('Complete');
    let largest = 0;
    const hash = createHash('sha256');
    for await (const piece of store.raw(ref)) {
      largest = Math.max(largest, piece.length);
      hash.update(piece);
    }
    expect(largest).toBe(65_536);
    expect(hash.digest('hex')).toBe(sha256(Buffer.concat(pieces.map(() => payload))));
    expect((await raw('stderr')).length).toBe(156 * payload.length);
  });

  test('prune removes a day once all of its attempts have ended before', async () => {
    const bytes = frames(['stdout', 'one\n']);
    await append(0, bytes);
    await store.prune(now + 1);
    expect((await store.state(ref)).offset).toBe(bytes.length);
    await store.seal(ref, expected(bytes));
    await store.prune(now);
    expect((await store.state(ref)).offset).toBe(bytes.length);
    await store.prune(now + 1);
    expect(await store.state(ref)).toEqual({ offset: 0, lines: 0, end: 'Open' });
    expect(await place.days()).toEqual([]);
    expect(await append(0, bytes)).toEqual({ ...ref, offset: bytes.length });
    // Got no end in so long that none will come.
    await store.prune(now + openMs - 1);
    expect(await place.days()).toHaveLength(1);
    await store.prune(now + 2 * openMs);
    expect(await place.days()).toEqual([]);
  });
};
