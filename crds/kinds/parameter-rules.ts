import type { CelRule } from '@outrider/schema';
import { literal, pattern, refuse } from './cel.ts';

const subject = `'parameter "' + self.name + '": '`;
const say = (text: string): string => `${subject} + ${literal(text)}`;

const types = [
  { name: 'Integer', expression: '^[+-]?[0-9]+$', example: '10' },
  { name: 'Number', expression: '^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?$', example: '2.5' },
  { name: 'Boolean', expression: '^(true|false)$', example: 'true' },
] as const;

const value: readonly CelRule[] = types.map(({ name, expression, example }) =>
  refuse({
    when: `has(self.type) && self.type == '${name}' && has(self.value) && !self.value.matches(${pattern(expression)})`,
    say: say(`value is not of type ${name}; write it like "${example}"`),
    at: '.value',
  }),
);

/** Rules of one parameter. */
export const parameterRules: readonly CelRule[] = [
  ...value,
  refuse({
    when: 'has(self.required) && self.required && has(self.value)',
    say: say('a required parameter has no value of its own; remove required or value'),
    at: '.value',
    reason: 'FieldValueForbidden',
  }),
  refuse({
    when: 'has(self.options) && has(self.value) && !(self.value in self.options)',
    say: say('value is none of its options'),
    at: '.value',
  }),
];

const variable = (name: string): string => `${name}.name.upperAscii().replace('-', '_')`;
const twin = `self.exists(q, q.name != p.name && ${variable('q')} == ${variable('p')})`;

/** Rules of the list of parameters. */
export const parameterListRules: readonly CelRule[] = [
  refuse({
    when: `self.exists(p, ${twin})`,
    say: `'parameter "' + self.map(p, ${twin}, p.name)[0] + '" has the same variable OUTRIDER_PARAM_... as another; rename one of them'`,
  }),
];
