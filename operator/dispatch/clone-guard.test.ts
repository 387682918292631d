import { expect, test } from 'vitest';
import { CloneGuard } from './clone-guard.ts';

const runner = { clientId: 'key-1', namespace: 'payments', name: 'edge-1', local: false };

/** Opens sessions at this pace until one is refused. */
const openEvery = (ms: number, most: number) => {
  let now = 0;
  const guard = new CloneGuard(() => now);
  for (let opened = 0; opened < most; opened++) {
    try {
      guard.opening(runner);
    } catch (error) {
      const complaint = guard.complaint('key-1');
      now += 600_000;
      return { opened, error, complaint, after: guard.complaint('key-1') };
    }
    now += ms;
  }
  return { opened: most };
};

test.each([
  [1000, 12, '12 sessions within a minute'],
  [10_000, 30, '30 sessions within ten minutes'],
])('copies that take turns every %d ms are refused after %d sessions', (ms, opened, words) => {
  expect(openEvery(ms, 100)).toMatchObject({
    opened,
    error: {
      code: 'SessionQuarantined',
      message: `Runner edge-1 opened ${words} with one key, as two copies of one machine do.`,
    },
    complaint: expect.stringMatching(`^one of its keys opened ${words}, `),
    after: undefined,
  });
});

test('a crash loop that backs off is none', () => {
  expect(openEvery(20_000, 100)).toEqual({ opened: 100 });
});

test('a quarantine ends while the runner goes on asking', () => {
  let now = 0;
  const guard = new CloneGuard(() => now);
  for (let i = 0; i < 12; i++) guard.opening(runner);
  for (now = 15_000; now < 60_000; now += 15_000)
    expect(() => guard.opening(runner)).toThrow('12 sessions within a minute');
  expect(() => guard.opening(runner)).not.toThrow();
});
