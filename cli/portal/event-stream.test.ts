import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EventStreamParser, type StreamEvent } from './event-stream.ts';

const parse = (chunks: readonly Uint8Array[]): StreamEvent[] => {
  const parser = new EventStreamParser();
  return chunks.flatMap((chunk) => parser.push(chunk));
};
const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8');

test('an event has a name, data and the last id', () => {
  expect(parse([bytes('id: t.1.0\nevent: line\ndata: {"a":1}\n\ndata: x\n\n')])).toEqual([
    { event: 'line', data: '{"a":1}', id: 't.1.0' },
    { event: 'message', data: 'x', id: 't.1.0' },
  ]);
});

test('several data lines are one text, comments and unknown fields are nothing', () => {
  expect(parse([bytes(': keepalive\n\ndata: a\ndata:  b\nretry: 10\nfoo: bar\ndata\n\n')])).toEqual([
    { event: 'message', data: 'a\n b\n', id: '' },
  ]);
});

test('an event that the stream breaks off in is dropped', () => {
  expect(parse([bytes('data: whole\n\ndata: cut\n')]).map(({ data }) => data)).toEqual(['whole']);
});

test('a byte order mark is skipped', () => {
  expect(parse([bytes('\uFEFFdata: a\n\n')]).map(({ data }) => data)).toEqual(['a']);
});

const lineEnds = fc.constantFrom('\n', '\r', '\r\n');
const data = fc.string({ unit: 'binary' }).filter((text) => !/[\r\n]/.test(text));
const sent = fc.array(fc.record({ event: fc.constantFrom('line', 'task', 'run'), id: fc.nat(), data }));
/** Cuts of the whole into chunks, anywhere. */
const cuts = fc.array(fc.nat(2000));

test('wherever the bytes are cut and whatever the line ends are, the events are the same', () => {
  fc.assert(
    fc.property(sent, lineEnds, cuts, (events, end, places) => {
      const text = events
        .map((each) => [`id: ${each.id}`, `event: ${each.event}`, `data: ${each.data}`, '', ''].join(end))
        .join('');
      const whole = bytes(text);
      const borders = [
        0,
        ...places.map((place) => place % (whole.length + 1)).sort((a, b) => a - b),
        whole.length,
      ];
      const chunks = borders.slice(1).map((border, index) => whole.subarray(borders[index], border));
      expect(parse(chunks)).toEqual(
        events.map((each) => ({ event: each.event, data: each.data.toWellFormed(), id: `${each.id}` })),
      );
    }),
  );
});
