import { expect, test } from 'vitest';
import { ReplayGuard } from './replay-guard.ts';

test('a signer uses an identifier once, until it could no longer be accepted anyway', () => {
  const guard = new ReplayGuard({ lifetimeMs: 1000, capacity: 10, perSigner: 10 });
  expect(guard.use('a', '1', 0)).toBe(true);
  expect(guard.use('a', '1', 999)).toBe(false);
  expect(guard.use('b', '1', 999)).toBe(true);
  expect(guard.use('a', '1', 1000)).toBe(true);
});

test('a signer that floods it locks out itself, and not the others', () => {
  const guard = new ReplayGuard({ lifetimeMs: 1000, capacity: 3, perSigner: 2 });
  guard.use('a', '1', 0);
  guard.use('a', '2', 500);
  expect(() => guard.use('a', '3', 600)).toThrow(
    'This key signed more than 2 requests within 1 s, more than the operator remembers.',
  );
  expect(guard.use('b', '1', 600)).toBe(true);
  expect(() => guard.use('c', '1', 600)).toThrow(
    'More than 3 requests were signed within 1 s, more than the operator remembers.',
  );
  expect(guard.use('a', '3', 1000)).toBe(true);
});
