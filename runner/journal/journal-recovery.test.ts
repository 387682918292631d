import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openDesk, type Desk, frame, instant, record, ref, sha256 } from './fixture.ts';

let desk: Desk;
beforeEach(async () => {
  desk = await openDesk();
});
afterEach(() => desk.clear());

describe('torn tails', () => {
  test('a record log cut at any byte of its last record keeps every earlier record and goes on', async () => {
    const journal = await desk.open();
    await journal.accepted(ref('a'), record);
    await journal.accepted(ref('b'), record);
    await journal.close();
    const path = join(desk.folder, 'journal.log');
    const again = await desk.open();
    const before = await readFile(path);
    await again.started(ref('b'), instant);
    await again.close();
    const whole = await readFile(path);
    expect(whole.length).toBeGreaterThan(before.length);
    for (let cut = before.length; cut < whole.length; cut += 1) {
      await writeFile(path, whole.subarray(0, cut));
      const torn = await desk.open();
      expect(torn.attempts().map((attempt) => attempt.state)).toEqual(['Accepted', 'Accepted']);
      await torn.started(ref('b'), instant);
      await torn.close();
    }
    expect((await desk.open()).attempts().map((attempt) => attempt.state)).toEqual(['Accepted', 'Started']);
  });

  test('a damaged byte anywhere in the last record removes that record only', async () => {
    const journal = await desk.open();
    await journal.accepted(ref('a'), record);
    await journal.close();
    const path = join(desk.folder, 'journal.log');
    const again = await desk.open();
    const start = (await readFile(path)).length;
    await again.started(ref('a'), instant);
    await again.close();
    const whole = await readFile(path);
    for (let i = start; i < whole.length; i += 1) {
      const damaged = Buffer.from(whole);
      damaged[i] = (damaged[i] ?? 0) ^ 0x10;
      await writeFile(path, damaged);
      const torn = await desk.open();
      expect(torn.attempts()[0]?.state).toBe('Accepted');
      await torn.close();
    }
  });

  test('an attempt log cut at any byte of its last frame is cut back to whole frames with their digest', async () => {
    const journal = await desk.open();
    await journal.accepted(ref('a'), record);
    const [first, last] = [frame(0, 'kept\n'), frame(1, 'torn\n')];
    await journal.append(ref('a'), Buffer.concat([first, last]));
    await journal.close();
    const path = join(desk.folder, 'logs', 'a.1.log');
    for (let cut = first.length; cut < first.length + last.length; cut += 1) {
      await writeFile(path, Buffer.concat([first, last]).subarray(0, cut));
      const torn = await desk.open();
      expect(await torn.sealLog(ref('a'))).toEqual({ length: first.length, sha256: sha256(first) });
      await torn.close();
      expect(await readFile(path)).toEqual(Buffer.from(first));
    }
  });

  test('zeros that a power cut left at the end of an attempt log are cut off', async () => {
    const journal = await desk.open();
    await journal.accepted(ref('a'), record);
    await journal.append(ref('a'), frame(0, 'kept\n'));
    await journal.close();
    const path = join(desk.folder, 'logs', 'a.1.log');
    await truncate(path, 9000);
    expect((await desk.open()).logLength(ref('a'))).toBe(25);
  });

  test('a file of another format is refused, not overwritten', async () => {
    await (await desk.open()).close();
    await writeFile(join(desk.folder, 'journal.log'), 'outrider-journal-9\nsomething newer');
    await expect(desk.open()).rejects.toThrow('not a journal of this version');
    expect(await readFile(join(desk.folder, 'journal.log'), 'utf8')).toBe(
      'outrider-journal-9\nsomething newer',
    );
  });
});

describe('damage', () => {
  test('before records that were synced later is refused with the place, and the file is left as it is', async () => {
    const journal = await desk.open();
    await journal.accepted(ref('a'), record);
    await journal.started(ref('a'), instant);
    await journal.accepted(ref('b'), record);
    await journal.close();
    const path = join(desk.folder, 'journal.log');
    const whole = await readFile(path);
    const started = whole.indexOf('"k":"started"');
    const damaged = Buffer.from(whole);
    damaged[started] = 0;
    await writeFile(path, damaged);
    const start = whole.lastIndexOf('{', started) - 8;
    await expect(desk.open()).rejects.toMatchObject({
      code: 'JournalDamaged',
      message: `The journal ${path} is damaged at byte ${start}, before records that were written later: what this runner had taken on is no longer known.`,
    });
    expect(await readFile(path)).toEqual(damaged);
  });

  test('in what was written when the journal was last opened is refused too', async () => {
    const journal = await desk.open();
    await journal.accepted(ref('a'), record);
    await journal.close();
    await (await desk.open()).close();
    const path = join(desk.folder, 'journal.log');
    const file = await readFile(path);
    file[file.indexOf('"entry"')] = 0;
    await writeFile(path, file);
    await expect(desk.open()).rejects.toMatchObject({ code: 'JournalDamaged' });
  });

  test('in one batch that was never synced costs that batch only, and is told', async () => {
    const journal = await desk.open();
    await journal.accepted(ref('a'), record);
    await journal.close();
    const path = join(desk.folder, 'journal.log');
    const again = await desk.open();
    const before = (await readFile(path)).length;
    // One group commit: a power cut may keep its second record without its first.
    await Promise.all([again.started(ref('a'), instant), again.accepted(ref('b'), record)]);
    await again.close();
    const file = await readFile(path);
    file.fill(0, before, before + 20);
    await writeFile(path, file);
    const cuts: number[] = [];
    const torn = await desk.open({ onCut: (bytes) => cuts.push(bytes) });
    expect(torn.attempts().map(({ task, state }) => [task, state])).toEqual([['a', 'Accepted']]);
    expect(cuts).toEqual([file.length - before]);
  });
});

test('zeros that a power cut left at the end of the record log are cut off', async () => {
  const journal = await desk.open();
  await journal.accepted(ref('a'), record);
  await journal.close();
  const path = join(desk.folder, 'journal.log');
  const { length } = await readFile(path);
  await truncate(path, length + 9000);
  const cuts: number[] = [];
  expect((await desk.open({ onCut: (bytes) => cuts.push(bytes) })).attempts()).toHaveLength(1);
  expect(cuts).toEqual([9000]);
});
