import type { StreamName } from '@outrider/protocol';
import { describe, expect, test } from 'vitest';
import { formatState, LineAssembler, maxLineBytes, parseState, type OpenLine } from './line-assembler.ts';

type Piece = readonly [stream: StreamName, text: string | Uint8Array];

const assemble = (...pieces: Piece[]) => {
  const lines: OpenLine[] = [];
  const assembler = new LineAssembler((line) => lines.push(line));
  for (const [seq, [stream, text]] of pieces.entries()) {
    assembler.push({ seq, stream, ts: BigInt(seq + 1) * 1000n, payload: Buffer.from(text) });
  }
  const show = ({ line, stream, at, bytes }: OpenLine) => [line, stream, at, Buffer.from(bytes).toString()];
  return { ended: lines.map(show), open: assembler.state.open.map(show), assembler };
};

describe('LineAssembler', () => {
  test('joins the pieces of a line and dates it by its first byte', () => {
    expect(assemble(['stdout', 'one '], ['stdout', 'line\ntw']).ended).toEqual([
      [0, 'stdout', 1, 'one line'],
    ]);
  });

  test('gives a growing line its number at its first byte, so that other streams cannot move it', () => {
    const { ended, open } = assemble(
      ['stdout', 'prompt> '],
      ['stderr', 'warning\n'],
      ['stdout', 'yes\nmore'],
    );
    expect(ended).toEqual([
      [1, 'stderr', 2, 'warning'],
      [0, 'stdout', 1, 'prompt> yes'],
    ]);
    expect(open).toEqual([[2, 'stdout', 3, 'more']]);
  });

  test('takes a carriage return before the newline as part of the line end, and no other', () => {
    expect(assemble(['stdout', 'a\r'], ['stdout', '\n10%\r20%\n']).ended.map((line) => line[3])).toEqual([
      'a',
      '10%\r20%',
    ]);
  });

  test('keeps empty lines', () => {
    expect(assemble(['stdout', '\n\nx\n']).ended.map((line) => line[3])).toEqual(['', '', 'x']);
  });

  test('keeps a character whole that comes in two frames', () => {
    const euro = Buffer.from('€');
    expect(
      assemble(
        ['stdout', euro.subarray(0, 1)],
        ['stdout', Buffer.concat([euro.subarray(1), Buffer.from('\n')])],
      ).ended,
    ).toEqual([[0, 'stdout', 1, '€']]);
  });

  test('cuts a line over 16 KiB where no character is split', () => {
    const text = `${'a'.repeat(maxLineBytes - 1)}€${'b'.repeat(10)}`;
    const texts = assemble(['stdout', `${text}\n`]).ended.map((line) => line[3]);
    expect(texts).toEqual(['a'.repeat(maxLineBytes - 1), `€${'b'.repeat(10)}`]);
  });

  test('cuts bytes that are not UTF-8 at exactly 16 KiB', () => {
    const { ended, open } = assemble(['stdout', Buffer.alloc(maxLineBytes + 1, 0x80)]);
    expect([ended.length, open.length]).toEqual([1, 1]);
  });

  test('ends what the runner itself says with its frame', () => {
    expect(assemble(['gap', '[5 bytes left out: slow]'], ['system', 'cancelled']).ended).toEqual([
      [0, 'gap', 1, '[5 bytes left out: slow]'],
      [1, 'system', 2, 'cancelled'],
    ]);
  });

  test('goes on from its stored state as if it had never stopped', () => {
    const { assembler } = assemble(['stdout', 'one\ntw'], ['stderr', 'x']);
    const { next } = assembler.state;
    const lines: OpenLine[] = [];
    const again = new LineAssembler(
      (line) => lines.push(line),
      parseState(next, formatState(assembler.state)),
    );
    again.push({ seq: 2, stream: 'stdout', ts: 9000n, payload: Buffer.from('o\n') });
    expect(lines.map(({ line, at, bytes }) => [line, at, Buffer.from(bytes).toString()])).toEqual([
      [1, 1, 'two'],
    ]);
  });
});
