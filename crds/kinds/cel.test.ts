import { describe, expect, test } from 'vitest';
import { durationRules, literal, literals, refuse } from './cel.ts';

describe('CEL', () => {
  test('literals escape what would end them', () => {
    expect(literal(`it's a \\ path`)).toBe(String.raw`'it\'s a \\ path'`);
    expect(literals(['a', 'b'])).toBe(`['a', 'b']`);
  });

  test('refusals are rules that hold where nothing is refused', () => {
    expect(refuse({ when: 'has(self.a)', say: `'no a'`, at: '.a', reason: 'FieldValueForbidden' })).toEqual({
      rule: '!(has(self.a))',
      messageExpression: `'no a'`,
      fieldPath: '.a',
      reason: 'FieldValueForbidden',
    });
  });

  test('durations are checked only where they are set, form before range', () => {
    const rules = durationRules({ field: 'timeout', value: 'self.timeout', present: 'has(self.timeout)' });
    expect(rules.map(({ rule }) => rule)).toEqual([
      `!(has(self.timeout) && !self.timeout.matches(r'^([0-9]+(ms|s|m|h))+$'))`,
      `!(has(self.timeout) && self.timeout.matches(r'^([0-9]+(ms|s|m|h))+$') && ` +
        `!(self.timeout.matches(r'^([0-9]{1,9}(ms|s)|[0-9]{1,6}(m|h))+$') && ` +
        `duration(self.timeout) > duration('0s') && duration(self.timeout) <= duration('168h')))`,
    ]);
  });
});
