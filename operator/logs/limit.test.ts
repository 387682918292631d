import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { encodeFrame } from '@outrider/protocol';
import type { LogStore } from './contract.ts';
import { limitLogs } from './limit.ts';
import { openSqliteLogStore } from './open.ts';

const ref = { task: 't1', epoch: 1 };
const frame = encodeFrame({ seq: 0, stream: 'stdout', ts: 0n, payload: Buffer.from('hello\n') });
let dir: string;
let logs: LogStore;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'logs-'));
  logs = limitLogs(await openSqliteLogStore({ dir }), frame.length);
});
afterEach(async () => {
  await logs.close();
  await rm(dir, { recursive: true });
});

test('a log is kept up to its limit, what reaches beyond is refused, and it ends Incomplete', async () => {
  expect(await logs.append([{ ...ref, offset: 0, bytes: frame }])).toEqual([
    { ...ref, offset: frame.length },
  ]);
  const beyond = { ...ref, offset: frame.length, bytes: frame };
  expect(await logs.append([beyond])).toEqual([
    {
      ...ref,
      offset: frame.length,
      error: {
        code: 'PayloadTooLarge',
        message:
          'The log of task t1, epoch 1, is longer than the 26 bytes that the operator keeps of one attempt.',
        action: 'Print less, or write to a file; or have the operator started with a larger --max-log-mib.',
      },
    },
  ]);
  await logs.seal(ref, { length: 2 * frame.length, sha256: 'never compared' });
  expect(await logs.state(ref)).toEqual({ offset: frame.length, lines: 1, end: 'Incomplete' });
});

test('one attempt that is refused keeps no other from its log', async () => {
  const other = { task: 't2', epoch: 1 };
  const answers = await logs.append([
    { ...ref, offset: 10e9, bytes: frame },
    { ...other, offset: 0, bytes: frame },
  ]);
  expect(answers.map(({ task, offset, error }) => [task, offset, error?.code])).toEqual([
    ['t2', frame.length, undefined],
    ['t1', 0, 'PayloadTooLarge'],
  ]);
});
