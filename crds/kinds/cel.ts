import type { CelRule } from '@outrider/schema';

/** A CEL string literal. */
export const literal = (text: string): string =>
  `'${text.replaceAll('\\', '\\\\').replaceAll("'", String.raw`\'`)}'`;

/** A CEL list of string literals. */
export const literals = (texts: readonly string[]): string => `[${texts.map(literal).join(', ')}]`;

/** A CEL regular expression literal; raw, so that a backslash is one. */
export const pattern = (expression: string): string => `r'${expression}'`;

export interface Refusal {
  /** CEL that is true when the object must be refused. */
  readonly when: string;
  /** CEL string: what is wrong, of what, and what to write instead. One line. */
  readonly say: string;
  /** Field that the error is reported at, such as `.script`; the place of the rule when absent. */
  readonly at?: string;
  /** Default: FieldValueInvalid. */
  readonly reason?: NonNullable<CelRule['reason']>;
}

/** A rule stated as what is refused. */
export const refuse = ({ when, say, at, reason }: Refusal): CelRule => ({
  rule: `!(${when})`,
  messageExpression: say,
  ...(at === undefined ? {} : { fieldPath: at }),
  ...(reason === undefined ? {} : { reason }),
});

/** `90s`, `1h30m`: one or more numbers with a unit. */
export const durationPattern = '^([0-9]+(ms|s|m|h))+$';

/** With this bound and 20 characters a duration cannot overflow, which would be an evaluation error. */
const representable = '^([0-9]{1,9}(ms|s)|[0-9]{1,6}(m|h))+$';

export interface DurationField {
  /** Name in the message. */
  readonly field: string;
  /** CEL of the value. */
  readonly value: string;
  /** CEL that is true when the field is set; always when absent. */
  readonly present?: string;
  /** CEL string put before the message, such as the step's name. */
  readonly subject?: string;
  readonly at?: string;
  /** Longest one that is permitted, as a duration. Default: 168h (7 days). */
  readonly most?: string;
}

/** A duration: well-formed, more than nothing, and within its bound. */
export function durationRules(duration: DurationField): readonly CelRule[] {
  const { field, value, present, subject, at, most = '168h' } = duration;
  const longest = most === '168h' ? '168h (7 days)' : most;
  const set = present === undefined ? '' : `${present} && `;
  const wellFormed = `${value}.matches(${pattern(durationPattern)})`;
  const inRange =
    `${value}.matches(${pattern(representable)}) && duration(${value}) > duration('0s') && ` +
    `duration(${value}) <= duration('${most}')`;
  const named = `${subject === undefined ? '' : `${subject} + `}${literal(`${field} "`)} + ${value} + `;
  const place = at === undefined ? {} : { at };
  return [
    refuse({
      when: `${set}!${wellFormed}`,
      say: `${named}${literal('" is not a duration; write it like 5m or 1h30m')}`,
      ...place,
    }),
    refuse({
      when: `${set}${wellFormed} && !(${inRange})`,
      say: `${named}${literal(`" is out of range; it must be more than 0s and at most ${longest}`)}`,
      ...place,
    }),
  ];
}
