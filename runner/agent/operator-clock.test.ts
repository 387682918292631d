import { expect, test } from 'vitest';
import { createOperatorClock } from './operator-clock.ts';

const operatorTime = Date.parse('2026-11-22T12:00:00Z');
const date = (ms: number): string => new Date(ms).toUTCString();

test.each([
  ['an hour ahead', 3_600_000],
  ['an hour behind', -3_600_000],
])('a clock %s tells the operator’s time once one answer was heard', (_, skewMs) => {
  let local = operatorTime + skewMs;
  const clock = createOperatorClock(() => local);
  expect(clock.seconds()).toBe((operatorTime + skewMs) / 1000);
  clock.heard(date(operatorTime));
  expect(clock.seconds()).toBe(operatorTime / 1000);
  local += 30_000;
  expect(clock.seconds()).toBe(operatorTime / 1000 + 30);
  // The clock was set right.
  local = operatorTime + 31_000;
  clock.heard(date(operatorTime + 31_000));
  expect(clock.seconds()).toBe(operatorTime / 1000 + 31);
});

test('a clock that is right within seconds is used as it is, and an answer without a date says nothing', () => {
  const clock = createOperatorClock(() => operatorTime);
  for (const heard of [date(operatorTime + 4000), undefined, 'soon']) clock.heard(heard);
  expect(clock.seconds()).toBe(operatorTime / 1000);
});
