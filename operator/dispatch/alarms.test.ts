import { expect, test } from 'vitest';
import { Alarms } from './alarms.ts';

test('keys are due in the order of their times, each once, at the time that was set last', () => {
  const alarms = new Alarms();
  alarms.set('late', 300);
  alarms.set('early', 100);
  alarms.set('moved', 50);
  alarms.set('moved', 200);
  alarms.set('gone', 60);
  alarms.delete('gone');
  expect([alarms.next, alarms.has('gone'), alarms.has('moved')]).toEqual([100, false, true]);
  expect(alarms.takeDue(99)).toEqual([]);
  expect(alarms.takeDue(200)).toEqual(['early', 'moved']);
  expect([alarms.next, alarms.takeDue(1000), alarms.next]).toEqual([300, ['late'], undefined]);
});
