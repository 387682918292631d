import { expect, test } from 'vitest';
import { explainFailure, isAway, isConflict, requireVersion, StandbyError } from './failures.ts';
import { nameOf } from './settings.ts';

const failure = (code: string, message = 'what the server said'): Error =>
  Object.assign(new Error(message), { code });

test('what passes by itself is told apart from what does not', () => {
  const away = ['57P01', '57P03', '08006', '53300', '25006', '25P03', '0A000', 'ECONNREFUSED', 'ECONNRESET'];
  expect(away.filter((code) => !isAway(failure(code)))).toEqual([]);
  expect(isAway(new Error('Connection terminated unexpectedly'))).toBe(true);
  expect(isAway(new Error('Query read timeout'))).toBe(true);
  expect(isAway(new StandbyError('ledger'))).toBe(true);
  expect(['40001', '40P01', '55P03'].filter((code) => !isConflict(failure(code)))).toEqual([]);
  const lasting = ['28P01', '3D000', '53100', '23505', '23514', 'P0001', '57014'];
  expect(lasting.filter((code) => isAway(failure(code)) || isConflict(failure(code)))).toEqual([]);
});

test.each([
  ['53300', 'has no connection free'],
  ['28P01', 'does not let this operator in'],
  ['53100', 'has no space or memory left'],
  ['XX001', 'is damaged'],
  ['57014', 'took too long over a statement'],
  ['40P01', 'is held up by another operator'],
  ['ECONNREFUSED', 'cannot be reached'],
])('%s reads: the ledger %s', (code, words) => {
  const what = nameOf('ledger', 'postgres://user:secret@db.example:5433/outrider');
  expect(explainFailure(what, failure(code))).toMatchObject({
    code: 'Unavailable',
    message: `The ledger postgres://db.example:5433/outrider ${words} (what the server said).`,
  });
});

test('what the schema refuses is a defect, and told as one', () => {
  expect(explainFailure('ledger', failure('P0001', 'an epoch never falls'))).toMatchObject({
    code: 'Internal',
    message: 'an epoch never falls',
  });
});

test('a server without transaction numbers of eight bytes is refused', () => {
  requireVersion('ledger', 130_000);
  expect(() => requireVersion('ledger', 120_017)).toThrow(
    'The ledger runs on PostgreSQL 12, which is too old.',
  );
});
