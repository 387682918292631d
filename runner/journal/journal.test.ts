import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  openDesk,
  type Desk,
  complete,
  finish,
  frame,
  instant,
  record,
  ref,
  resultFor,
  sha256,
  spec,
} from './fixture.ts';

const day = 86_400_000;

let desk: Desk;
beforeEach(async () => {
  desk = await openDesk();
});
afterEach(() => desk.clear());

describe('attempts', () => {
  test('are found again in the state, with handle, result and log, in which they were left', async () => {
    const first = await desk.open();
    await first.accepted(ref('a'), record);
    await first.accepted(ref('b'), record);
    await first.started(ref('b'), instant);
    await first.handle(ref('b'), { pid: 42 });
    await first.append(ref('b'), frame(0, 'hello\n'));
    await first.accepted(ref('c'), record);
    const result = await finish(first, ref('c'));
    await first.accepted(ref('d'), record);
    await first.forget(ref('d'));
    await first.close();
    const second = await desk.open();
    expect(second.attempts()).toEqual([
      { task: 'a', epoch: 1, generation: 'g1', spec, state: 'Accepted', logLength: 0 },
      {
        task: 'b',
        epoch: 1,
        generation: 'g1',
        spec,
        state: 'Started',
        startedAt: instant,
        handle: { pid: 42 },
        logLength: 26,
      },
      { task: 'c', epoch: 1, generation: 'g1', spec, state: 'Finished', result, logLength: 0 },
    ]);
    expect(await second.readLog(ref('b'), 0, 100)).toEqual(frame(0, 'hello\n'));
  });

  test('accepted, finished and acknowledged are idempotent for the same content and refuse other content', async () => {
    const journal = await desk.open();
    await journal.accepted(ref('a'), record);
    await journal.accepted(ref('a'), record);
    await expect(journal.accepted(ref('a'), { ...record, generation: 'g2' })).rejects.toMatchObject({
      code: 'StateMismatch',
    });
    const result = await finish(journal, ref('a'));
    await journal.finished(ref('a'), result);
    await expect(journal.finished(ref('a'), { ...result, exitCode: 1 })).rejects.toThrow(
      'The journal refuses: attempt a/1 is finished with another result.',
    );
    await journal.acknowledged(ref('a'));
    await journal.acknowledged(ref('a'));
    expect(journal.attempts()[0]?.state).toBe('Acknowledged');
  });

  test('cannot start, take a handle or finish out of order', async () => {
    const journal = await desk.open();
    await expect(journal.started(ref('a'), instant)).rejects.toThrow(
      'attempt a/1 cannot be started, it was never accepted',
    );
    await journal.accepted(ref('a'), record);
    await expect(journal.handle(ref('a'), { pid: 1 })).rejects.toThrow(
      'attempt a/1 cannot be given a handle, it is Accepted',
    );
    await expect(journal.acknowledged(ref('a'))).rejects.toThrow(
      'attempt a/1 cannot be acknowledged, it is Accepted',
    );
  });

  test('a result that names another log than the sealed one is refused', async () => {
    const journal = await desk.open();
    await journal.accepted(ref('a'), record);
    await journal.append(ref('a'), frame(0, 'x'));
    await expect(
      journal.finished(ref('a'), resultFor({ length: 0, sha256: sha256(new Uint8Array()) })),
    ).rejects.toThrow('the result of attempt a/1 names another log than the sealed one');
  });

  test('are kept seven days after the acknowledgement, then removed with their log', async () => {
    let now = 1_000_000;
    const clock = { now: () => now };
    const journal = await desk.open(clock);
    await complete(journal, ref('a'), 'old');
    now += 7 * day + 1;
    await complete(journal, ref('b'), 'new');
    expect(journal.attempts().map((attempt) => attempt.task)).toEqual(['b']);
    expect(await readdir(join(desk.folder, 'logs'))).toEqual(['b.1.log']);
    await journal.close();
    now += 7 * day + 1;
    expect((await desk.open(clock)).attempts()).toEqual([]);
    expect(await readdir(join(desk.folder, 'logs'))).toEqual([]);
  });

  test('a long record log is compacted while it is in use, and says the same afterwards', async () => {
    const journal = await desk.open({ compactBytes: 2000 });
    for (let i = 0; i < 200; i += 1) {
      await journal.accepted(ref(`t${i}`), record);
      if (i > 0) await journal.forget(ref(`t${i}`));
    }
    expect((await stat(join(desk.folder, 'journal.log'))).size).toBeLessThan(3000);
    await journal.close();
    expect((await desk.open()).attempts().map((attempt) => attempt.task)).toEqual(['t0']);
  });
});

describe('space', () => {
  test('an attempt is refused before it is accepted when no slot is left, and taken once another is acknowledged', async () => {
    const journal = await desk.open({ maxBytes: 2000, slotBytes: 1000 });
    await journal.accepted(ref('a'), record);
    await journal.accepted(ref('b'), record);
    await expect(journal.accepted(ref('c'), record)).rejects.toMatchObject({
      code: 'JournalFull',
      message: `The journal in ${desk.folder} has no room: no 1000 bytes of 2000 are left for the log of c/1.`,
      action: 'Free space on that file system or give the journal more, or let fewer tasks run at once.',
    });
    await journal.append(ref('a'), frame(0, 'kept until the room is needed'));
    await finish(journal, ref('a'));
    await journal.acknowledged(ref('a'));
    expect(journal.logLength(ref('a'))).toBe(49);
    await journal.accepted(ref('c'), record);
    expect(journal.logLength(ref('a'))).toBe(0);
    expect(await journal.readLog(ref('a'), 0, 100)).toHaveLength(0);
    expect(journal.attempts()[0]).toMatchObject({ task: 'a', state: 'Acknowledged' });
  });

  test('nearlyFull when logs that are not acknowledged take nine tenths', async () => {
    const journal = await desk.open({ maxBytes: 20_000, slotBytes: 20_000 });
    await journal.accepted(ref('a'), record);
    expect(journal.nearlyFull()).toBe(false);
    await journal.append(ref('a'), frame(0, 'x'.repeat(18_000)));
    await finish(journal, ref('a'));
    expect(journal.nearlyFull()).toBe(true);
    await journal.acknowledged(ref('a'));
    expect(journal.nearlyFull()).toBe(false);
  });
});

describe('acknowledged results', () => {
  test('are kept without what was asked for, and the oldest go when they need more room than they have', async () => {
    const journal = await desk.open({ keptBytes: 2000 });
    for (const task of ['a', 'b', 'c']) await complete(journal, ref(task), 'line\n');
    const kept = journal.attempts();
    expect(kept.map(({ task, state }) => [task, state])).toEqual([
      ['b', 'Acknowledged'],
      ['c', 'Acknowledged'],
    ]);
    expect(kept[0]).toMatchObject({ generation: 'g1', spec: { input: {} }, result: { exitCode: 0 } });
    await journal.close();
    expect((await desk.open({ keptBytes: 1000 })).attempts().map(({ task }) => task)).toEqual(['c']);
  });
});
