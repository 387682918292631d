import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { incompatibilities, type JsonSchema } from './compatible.ts';
import { encodeFrame } from './frames.ts';
import { encodeLogBatch } from './log-batch.ts';
import { paths, protocolVersion } from './messages.ts';
import { wireMessages } from './wire.ts';

interface Frozen {
  readonly version: number;
  readonly paths: Readonly<Record<string, string>>;
  readonly messages: Readonly<Record<string, JsonSchema>>;
}

const frozen = JSON.parse(readFileSync(new URL('./frozen/v2.json', import.meta.url), 'utf8')) as Frozen;
const current = JSON.parse(JSON.stringify(wireMessages)) as Record<string, JsonSchema>;

describe('version 2 of the runner protocol is frozen', () => {
  test('both sides still call it version 2', () => {
    expect(protocolVersion).toBe(frozen.version);
    expect(paths).toMatchObject(frozen.paths);
  });

  test.each(Object.entries(frozen.messages))('%s is understood by what spoke it first', (name, schema) => {
    const now = current[name];
    expect(now === undefined ? ['it is gone'] : incompatibilities(schema, now)).toEqual([]);
  });

  test('a log frame has these bytes', () => {
    const frame = {
      seq: 7,
      stream: 'stderr',
      ts: 0x0102030405060708n,
      payload: Buffer.from('hi\n'),
    } as const;
    expect(Buffer.from(encodeFrame(frame)).toString('hex')).toBe(
      ['00000007', '02000000', '0102030405060708', '00000003', '68690a'].join(''),
    );
  });

  test('a log batch has these bytes', () => {
    const chunk = { task: 't-1', epoch: 3, offset: 258, bytes: Buffer.from('abc') };
    expect(Buffer.from(encodeLogBatch([chunk])).toString('hex')).toBe(
      ['0003', '742d31', '00000003', '0000000000000102', '00000003', '616263'].join(''),
    );
  });
});

describe('a change of a message', () => {
  const text = { type: 'string', maxLength: 5 };
  const before = { type: 'object', properties: { a: text }, required: ['a'], additionalProperties: false };
  test.each<[string, JsonSchema, string[]]>([
    ['adds an optional field', { ...before, properties: { a: text, b: text } }, []],
    [
      'adds a required field',
      { ...before, properties: { a: text, b: text }, required: ['a', 'b'] },
      ['b is required'],
    ],
    [
      'drops a field',
      { ...before, properties: {}, required: [] },
      ['a is gone', 'a is not required any more'],
    ],
    [
      'takes less',
      { ...before, properties: { a: { ...text, maxLength: 4 } } },
      ['a: maxLength is 4, and was 5'],
    ],
    [
      'takes another type',
      { ...before, properties: { a: { type: 'integer' } } },
      ['a: type is "integer", and was "string"', 'a: maxLength is gone'],
    ],
  ])('that %s', (_, after, found) => {
    expect(incompatibilities(before, after)).toEqual(found);
  });
});
