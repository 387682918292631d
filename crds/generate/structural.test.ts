import { Closed, List, Maybe, StringMap, Text, Type } from '@outrider/schema';
import { describe, expect, test } from 'vitest';
import { structural } from './structural.ts';

describe('a structural schema', () => {
  test('keeps bounds, order of properties and rules, and marks what is required', () => {
    const rule = { rule: 'self.size() > 0', message: 'empty' };
    const schema = Closed(
      {
        name: Text({ description: 'Name.', maxLength: 63 }),
        labels: Maybe(StringMap({ description: 'Labels.', maxProperties: 4, maxLength: 8 })),
        tags: Maybe(
          List(Text({ description: 'Tag.', maxLength: 8 }), {
            description: 'Tags.',
            maxItems: 2,
            'x-kubernetes-validations': [rule],
          }),
        ),
      },
      { description: 'Thing.' },
    );
    expect(structural(schema, 'spec')).toEqual({
      description: 'Thing.',
      type: 'object',
      required: ['name'],
      properties: {
        name: { description: 'Name.', type: 'string', maxLength: 63 },
        labels: {
          description: 'Labels.',
          type: 'object',
          maxProperties: 4,
          additionalProperties: { type: 'string', maxLength: 8 },
        },
        tags: {
          description: 'Tags.',
          type: 'array',
          maxItems: 2,
          items: { description: 'Tag.', type: 'string', maxLength: 8 },
          'x-kubernetes-validations': [rule],
        },
      },
    });
  });

  test.each([
    [
      'a field without a description',
      Closed({ name: Type.String({ maxLength: 1 }) }),
      'spec.name: the description is missing',
    ],
    [
      'a string without a bound',
      Closed({ name: Type.String({ description: 'Name.' }) }),
      'spec.name: maxLength is missing',
    ],
    [
      'a list without a bound',
      Closed({ list: Type.Array(Text({ description: 'Entry.', maxLength: 1 }), { description: 'List.' }) }),
      'spec.list: maxItems is missing',
    ],
    [
      'a union, which no CRD can say',
      Closed({ either: Type.Union([Type.String(), Type.Number()], { description: 'Either.' }) }),
      'spec.either: a structural schema needs a type',
    ],
    [
      'a keyword that the API server would drop',
      Closed({ name: Type.String({ description: 'Name.', maxLength: 1, readOnly: true }) }),
      'spec.name: readOnly has no counterpart in a structural schema',
    ],
  ])('is not made of %s', (_what, schema, message) => {
    const described = { ...schema, description: 'Spec.' };
    expect(() => structural(described, 'spec')).toThrow(new Error(message));
  });
});
