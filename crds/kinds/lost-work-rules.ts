import type { CelRule } from '@outrider/schema';
import { durationRules, literal, refuse } from './cel.ts';

export const onLostPolicies = ['Fail', 'Retry', 'Verify', 'Ask'] as const;

const policyIs = (name: (typeof onLostPolicies)[number]): string =>
  `has(self.onLost) && self.onLost == ${literal(name)}`;

/**
 * Rules of what happens to a step that has to be executed again, or whose end is not known.
 *
 * @param subject CEL string that names the step, put before each message
 */
export function lostWorkRules(subject: string): readonly CelRule[] {
  const say = (text: string): string => `${subject} + ${literal(text)}`;
  return [
    refuse({
      when: `${policyIs('Retry')} && !has(self.retry)`,
      say: say('onLost: Retry needs retry; add retry with limit, the number of repetitions'),
      at: '.retry',
      reason: 'FieldValueRequired',
    }),
    refuse({
      when: `${policyIs('Verify')} && !has(self.verify)`,
      say: say(
        'onLost: Verify needs verify; add verify with a script that exits 0 if the work was done and 1 if not',
      ),
      at: '.verify',
      reason: 'FieldValueRequired',
    }),
    refuse({
      when: `has(self.verify) && !(${policyIs('Verify')})`,
      say: say('verify is used with onLost: Verify only; set that, or remove verify'),
      at: '.verify',
      reason: 'FieldValueForbidden',
    }),
    ...durationRules({
      field: 'retry.delay',
      value: 'self.retry.delay',
      present: 'has(self.retry) && has(self.retry.delay)',
      subject,
      at: '.retry.delay',
      most: '5m',
    }),
    ...durationRules({
      field: 'verify.timeout',
      value: 'self.verify.timeout',
      present: 'has(self.verify) && has(self.verify.timeout)',
      subject,
      at: '.verify.timeout',
    }),
  ];
}
