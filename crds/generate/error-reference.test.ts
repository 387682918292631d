import { errorStatus } from '@outrider/protocol';
import { describe, expect, test } from 'vitest';
import { errorSections } from './error-meanings.ts';
import { errorReference } from './error-reference.ts';

const listed = errorSections.flatMap(({ errors }) => errors);

describe('the reference of error codes', () => {
  test('explains every code of the protocol once, in its order', () => {
    expect(listed.map(({ code }) => code)).toEqual(Object.keys(errorStatus));
  });

  test('says of each code in whole sentences when it is reported and what to do', () => {
    for (const { code, when, action } of listed) {
      expect(when, code).toMatch(/^[A-Z`].*\.$/);
      expect(action, code).toMatch(/^[A-Z`].*\.$/);
    }
  });

  test('shows the HTTP status only of codes that answer requests', () => {
    const { text } = errorReference();
    expect(text).toContain('| `RunnerRevoked` | 403 |');
    expect(text).toContain('| `NonZeroExit` |  | Script or command ended');
  });
});
