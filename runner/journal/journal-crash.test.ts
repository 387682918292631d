import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { attemptKey, type AttemptRef, type TaskResult } from '@outrider/protocol';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Journal } from './contract.ts';
import { openDesk, record, ref, sha256, type Desk } from './fixture.ts';
import { lockFolder } from './lock.ts';

let desk: Desk;
beforeEach(async () => {
  desk = await openDesk();
});
afterEach(() => desk.clear());

const writer = fileURLToPath(new URL('fixture-writer.ts', import.meta.url));
const order = ['Accepted', 'Started', 'Finished', 'Acknowledged'];

interface Answered extends AttemptRef {
  readonly state: string;
  readonly result?: TaskResult;
}

/** Starts the writer in `lanes` loops; `fileBlocks` limits the size of its files, in units of 512 bytes. */
const startWriter = (lanes: number, fileBlocks?: number, ...more: readonly string[]): ChildProcess => {
  const command = [
    process.execPath,
    '--conditions=development',
    writer,
    '--folder',
    desk.folder,
    '--lanes',
    String(lanes),
    ...more,
  ];
  const limit = fileBlocks === undefined ? '' : `ulimit -f ${fileBlocks}; `;
  return spawn('/bin/sh', ['-c', `${limit}exec "$@"`, 'sh', ...command], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
};

/** What the writer said before it ended; `until` may kill it. */
const listen = async (child: ChildProcess, until: (count: number) => void): Promise<unknown[]> => {
  const exit = once(child, 'exit');
  const lines: unknown[] = [];
  if (child.stdout === null) throw new Error('the writer has no stdout');
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(JSON.parse(line));
    until(lines.length);
  }
  await exit;
  return lines;
};

/** Every answered call is in the journal, at least as far as it was answered, with the bytes that its result names. */
const verify = async (journal: Journal, answered: readonly Answered[]): Promise<void> => {
  const found = new Map(journal.attempts().map((attempt) => [attemptKey(attempt), attempt]));
  for (const { state, result, ...attempt } of answered) {
    const kept = found.get(attemptKey(attempt));
    expect(order.indexOf(kept?.state ?? '')).toBeGreaterThanOrEqual(order.indexOf(state));
    if (result === undefined) continue;
    expect(kept?.result).toEqual(result);
    const log = await journal.readLog(attempt, 0, 1e6);
    expect({ length: log.length, sha256: sha256(log) }).toEqual(result.log);
  }
};

describe('a killed runner', () => {
  test.each([25, 90, 260])('finds every answered call again after kill -9 at answer %i', async (answers) => {
    const child = startWriter(4);
    const lines = await listen(child, (count) => count === answers && child.kill('SIGKILL'));
    expect(child.signalCode).toBe('SIGKILL');
    const journal = await desk.open({ maxBytes: 1e9, slotBytes: 1e5 });
    await verify(journal, lines.slice(1) as Answered[]);
    for (const attempt of journal.attempts()) {
      const sealed = attempt.state === 'Acknowledged' ? attempt.result?.log : await journal.sealLog(attempt);
      expect(sealed?.length).toBe(attempt.logLength);
    }
    await journal.accepted(ref('goes on'), record);
  });
});

describe('a full disk', () => {
  test('is answered with JournalFull, and nothing that was answered before is lost', async () => {
    const lines = await listen(startWriter(3, 64), () => undefined);
    // The other lanes may still be answered after the first that is refused.
    const refused = lines.filter((line) => JSON.stringify(line).startsWith('{"failed"'));
    expect(refused).toMatchObject([
      {
        failed: {
          code: 'JournalFull',
          message: `The journal in ${desk.folder} has no room: EFBIG: file too large, write.`,
        },
      },
    ]);
    const answered = lines.slice(1).filter((line) => !refused.includes(line)) as Answered[];
    expect(answered.length).toBeGreaterThan(20);
    await verify(await desk.open({ maxBytes: 1e9, slotBytes: 1e5 }), answered);
  });
});

describe('a disk without room for a log', () => {
  test('leaves a gap frame with the count of all that was dropped', async () => {
    const lines = await listen(startWriter(0, 64, '--big'), () => undefined);
    expect(lines.at(-1)).toBe("[120000 bytes left out: no room on the runner's disk]");
  });
});

describe('the lock', () => {
  test('keeps a second runner out while the first lives, and lets it in once that was killed', async () => {
    const child = startWriter(1);
    await listen(child, (count) => {
      if (count !== 5) return;
      void desk.open().then(
        () => expect.unreachable(),
        (error: Error) => {
          expect(error).toMatchObject({
            code: 'JournalLocked',
            message: `The journal in ${desk.folder} is in use by process ${child.pid}.`,
          });
          child.kill('SIGKILL');
        },
      );
    });
    expect(child.signalCode).toBe('SIGKILL');
    await expect(desk.open()).resolves.toBeDefined();
  });

  test('admits one of many that find a dead claim at once, and the next after a release', async () => {
    const child = startWriter(1);
    await listen(child, (count) => count === 1 && child.kill('SIGKILL'));
    for (let round = 0; round < 20; round += 1) {
      const tries = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(desk.folder)));
      const won = tries.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []));
      expect(won).toHaveLength(1);
      await won[0]?.();
    }
    expect((await readdir(desk.folder)).filter((name) => name.startsWith('lock'))).toEqual(['lock.21']);
  });
});
