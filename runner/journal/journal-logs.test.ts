import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeFrames } from '@outrider/protocol';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openDesk, type Desk, complete, frame, record, ref, sha256 } from './fixture.ts';

let desk: Desk;
beforeEach(async () => {
  desk = await openDesk();
});
afterEach(() => desk.clear());

describe('logs', () => {
  test('length and digest cover exactly what was appended, before and after a restart', async () => {
    const journal = await desk.open();
    await journal.accepted(ref('a'), record);
    const frames = [frame(0, 'one'), frame(1, 'two'), frame(2, 'three')];
    await journal.append(ref('a'), Buffer.concat([frames[0] ?? '', frames[1] ?? ''] as Uint8Array[]));
    await journal.append(ref('a'), frames[2] ?? new Uint8Array());
    const all = Buffer.concat(frames);
    expect(await journal.sealLog(ref('a'))).toEqual({ length: all.length, sha256: sha256(all) });
    expect(Buffer.from(await journal.readLog(ref('a'), 5, 9))).toEqual(all.subarray(5, 14));
    await journal.close();
    const again = await desk.open();
    expect(await again.sealLog(ref('a'))).toEqual({ length: all.length, sha256: sha256(all) });
    await again.append(ref('a'), frame(3, 'x')).then(
      () => expect.unreachable(),
      (error: Error) => expect(error.message).toContain('a log that is sealed takes no more frames'),
    );
  });

  test('listeners hear of bytes once these can be read, until they unsubscribe', async () => {
    const journal = await desk.open();
    await journal.accepted(ref('a'), record);
    const lengths: number[] = [];
    const stop = journal.onAppend((attempt) => lengths.push(journal.logLength(attempt)));
    await journal.append(ref('a'), frame(0, 'one'));
    await journal.sealLog(ref('a'));
    expect(lengths).toEqual([23]);
    stop();
    await journal.accepted(ref('b'), record);
    await journal.append(ref('b'), frame(0, 'one'));
    await journal.sealLog(ref('b'));
    expect(lengths).toEqual([23]);
  });

  test('bytes that are not the next whole frames are refused', async () => {
    const journal = await desk.open();
    await journal.accepted(ref('a'), record);
    await expect(journal.append(ref('a'), frame(0, 'cut').subarray(0, 22))).rejects.toMatchObject({
      code: 'StateMismatch',
    });
    await expect(journal.append(ref('a'), frame(1, 'late'))).rejects.toMatchObject({ code: 'StateMismatch' });
  });

  test('beyond its space a log ends in one gap frame with the final count of payload bytes dropped', async () => {
    const journal = await desk.open({ maxBytes: 4096, slotBytes: 1000 });
    await journal.accepted(ref('a'), record);
    const line = 'x'.repeat(180);
    for (let seq = 0; seq < 10; seq += 1) await journal.append(ref('a'), frame(seq, line));
    await journal.append(ref('a'), frame(10, 'tiny'));
    const { length } = await journal.sealLog(ref('a'));
    expect(length).toBeLessThanOrEqual(1000);
    const { frames, rest } = decodeFrames(await journal.readLog(ref('a'), 0, 2000));
    expect(rest).toBe(length);
    expect(frames.map(({ seq, stream }) => [seq, stream])).toEqual([
      [0, 'stdout'],
      [1, 'stdout'],
      [2, 'stdout'],
      [3, 'gap'],
    ]);
    expect(Buffer.from(frames[3]?.payload ?? []).toString()).toBe(
      '[1264 bytes left out: log space of this attempt used up]',
    );
    await journal.close();
    expect(await (await desk.open()).sealLog(ref('a'))).toMatchObject({ length });
  });

  test('a log that overflowed in an earlier process says that the count is lost', async () => {
    const journal = await desk.open({ maxBytes: 4096, slotBytes: 500 });
    await journal.accepted(ref('a'), record);
    await journal.append(ref('a'), frame(0, 'x'.repeat(600)));
    await journal.close();
    const again = await desk.open();
    const { length } = await again.sealLog(ref('a'));
    const { frames } = decodeFrames(await again.readLog(ref('a'), 0, length));
    expect(Buffer.from(frames[0]?.payload ?? []).toString()).toContain(
      'the runner restarted since and lost count',
    );
  });

  test('a task id that is no file name stays inside the folder', async () => {
    const journal = await desk.open();
    await complete(journal, ref('../../escape'), 'x');
    expect(await readdir(join(desk.folder, 'logs'))).toEqual([
      expect.stringMatching(/^~[0-9a-f]{64}\.1\.log$/),
    ]);
    expect(await journal.readLog(ref('../../escape'), 0, 100)).toEqual(frame(0, 'x'));
  });

  test('files and folders are private', async () => {
    const journal = await desk.open();
    await complete(journal, ref('a'), 'x');
    const modes = await Promise.all(
      ['', 'logs', 'journal.log', 'logs/a.1.log', 'lock.1'].map(
        async (name) => (await stat(join(desk.folder, name))).mode & 0o777,
      ),
    );
    expect(modes).toEqual([0o700, 0o700, 0o600, 0o600, 0o600]);
  });
});
