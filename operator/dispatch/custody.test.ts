import { expect, test } from 'vitest';
import type { TaskRecord } from '../ledger/records.ts';
import { aTaskRecord } from '../testing/builders.ts';
import { createCustody } from './custody.ts';

const running = aTaskRecord({ state: 'Running', epoch: 3, runner: 'mine' });
const ref = { task: running.id, epoch: 3 };

/** A board that is behind the ledger. */
const between = (onBoard: TaskRecord | undefined, inLedger: TaskRecord | undefined) => {
  let asked = 0;
  const custody = createCustody({
    board: { get: () => onBoard },
    ledger: {
      readTask: async () => {
        asked += 1;
        return inLedger;
      },
    },
  });
  return { custody, asked: () => asked };
};

test('what the board has not heard of is found in the ledger', async () => {
  const { custody } = between(aTaskRecord({ state: 'Ready', epoch: 2 }), running);
  expect(await custody.find('mine', ref)).toBe(running);
  expect(await custody.stillIts('mine', [ref])).toEqual(new Set([`${running.id}/3`]));
});

test('what the board knows is not asked for', async () => {
  const { custody, asked } = between(running, undefined);
  expect(await custody.stillIts('mine', [ref])).toEqual(new Set([`${running.id}/3`]));
  expect(asked()).toBe(0);
});

test('what is over, or of another runner or epoch, is not its own any more', async () => {
  for (const other of [
    aTaskRecord({ state: 'Lost', epoch: 3, runner: 'mine' }),
    aTaskRecord({ state: 'Running', epoch: 4, runner: 'mine' }),
    aTaskRecord({ state: 'Running', epoch: 3, runner: 'another' }),
    undefined,
  ]) {
    const { custody } = between(undefined, other);
    expect(await custody.stillIts('mine', [ref])).toEqual(new Set());
  }
});

test('a secret goes out for what the ledger says, whatever the board still shows', async () => {
  const { custody } = between(running, aTaskRecord({ state: 'Unknown', epoch: 3, runner: 'mine' }));
  await expect(custody.requireActive('mine', ref)).rejects.toMatchObject({
    code: 'StateMismatch',
    message: `This runner does not hold task ${running.id} at epoch 3 (it is Unknown at epoch 3), so no credential is given out for it.`,
  });
  const fresh = between(undefined, running);
  expect(await fresh.custody.requireActive('mine', ref)).toBe(running);
});
