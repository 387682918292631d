import type { LineView } from '@outrider/portal';
import { describe, expect, it } from 'vitest';
import { renderLogLine } from './log-line.ts';
import { renderObject } from './objects.ts';
import { printable, printableLine } from './printable.ts';
import { createColours, plain, styleFor } from './style.ts';
import { renderFields, renderTable } from './table.ts';
import { formatAge, formatDuration, formatSpan } from './time.ts';

const line = (change: Partial<LineView>): LineView => ({
  task: 't',
  epoch: 1,
  step: 'check',
  target: '',
  line: 0,
  stream: 'stdout',
  at: '2026-11-22T12:00:00.500Z',
  text: 'hello',
  ...change,
});
const onTerminal = { style: createColours(), timestamps: false, clean: true };
const inPipe = { style: plain, timestamps: false, clean: false };

describe('a log line', () => {
  it('bears its step, its target where there are several, and the mark of its stream', () => {
    const rendered = (['stdout', 'stderr', 'system', 'gap'] as const).map((stream) =>
      renderLogLine(line({ stream, target: 'web-1' }), inPipe),
    );
    expect(rendered).toEqual([
      'check/web-1 | hello\n',
      'check/web-1 ! hello\n',
      'check/web-1 * hello\n',
      'check/web-1 ~ hello\n',
    ]);
    expect(renderLogLine(line({ target: 'web-1', probeOf: 'task-1' }), inPipe)).toBe(
      'check/web-1 (verify) | hello\n',
    );
    expect(renderLogLine(line({ epoch: 2 }), inPipe)).toBe('check#2 | hello\n');
    expect(renderLogLine(line({}), { ...inPipe, timestamps: true })).toBe(
      '2026-11-22T12:00:00.500Z check | hello\n',
    );
  });

  it('has a colour per step on a terminal, the same one each time; notes are dim, the mark of stderr red', () => {
    const options = { ...onTerminal, style: createColours() };
    expect(renderLogLine(line({}), options)).toBe('\u001b[36mcheck\u001b[39m | hello\n');
    expect(renderLogLine(line({ step: 'other' }), options)).toBe('\u001b[35mother\u001b[39m | hello\n');
    expect(renderLogLine(line({ target: 'a', stream: 'stderr' }), options)).toBe(
      '\u001b[36mcheck/a\u001b[39m \u001b[31m!\u001b[39m hello\n',
    );
    expect(renderLogLine(line({ stream: 'system' }), options)).toBe(
      '\u001b[36mcheck\u001b[39m \u001b[2m*\u001b[22m \u001b[2mhello\u001b[22m\n',
    );
  });

  it('is passed into a pipe as it is, and cannot move the cursor of a terminal', () => {
    const text = 'a\u001b[2Jb\u001b]0;title\u0007c\r';
    expect(renderLogLine(line({ text }), inPipe)).toBe(`check | ${text}\n`);
    expect(renderLogLine(line({ text }), { ...onTerminal, style: plain })).toBe('check | abc\n');
  });
});

describe('foreign text on a terminal', () => {
  it('keeps colours, which end with the line', () => {
    expect(printableLine('\u001b[32mok')).toBe('\u001b[32mok\u001b[0m');
  });
  it('shows the last state of a progress bar', () => {
    expect(printableLine('10%\r50%\r100%\r')).toBe('100%');
  });
  it('keeps tabs and letters of every language', () => {
    expect(printable('a\tü 漢 🚀\u0000\u0008\u009b')).toBe('a\tü 漢 🚀');
  });
});

describe('colour', () => {
  it('stands where a person looks and does not refuse it', () => {
    expect(styleFor(true, {}).red('x')).toBe('\u001b[31mx\u001b[39m');
    expect(styleFor(true, { NO_COLOR: '' }).red('x')).toBe('\u001b[31mx\u001b[39m');
    for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) expect(styleFor(true, env).red('x')).toBe('x');
    expect(styleFor(false, {}).red('x')).toBe('x');
  });
});

describe('a table', () => {
  const columns = [
    { title: 'NAME', value: (row: { name: string; note?: string }) => row.name },
    { title: 'NOTE', value: (row: { note?: string }) => row.note, paint: createColours().red },
    { title: 'SIZE', value: (row: { name: string }) => row.name.length, wide: true },
  ];
  it('aligns by what is seen, and says - where nothing is', () => {
    const rows = [{ name: 'a' }, { name: 'longer', note: 'x\ny\u001b[2J' }];
    expect(renderTable(columns, rows, { wide: true })).toBe(
      'NAME     NOTE   SIZE\n' +
        'a        \u001b[31m-\u001b[39m      1\n' +
        'longer   \u001b[31mx y\u001b[39m    6\n',
    );
    expect(renderTable(columns.slice(0, 1), rows)).toBe('NAME\na\nlonger\n');
    expect(renderTable(columns, [])).toBe('NAME   NOTE\n');
  });
  it('of fields leaves out what is unknown', () => {
    expect(
      renderFields([
        ['Name', 'x'],
        ['Reason', undefined],
        ['Requested by', 'ann'],
      ]),
    ).toBe('Name:          x\nRequested by:  ann\n');
  });
});

describe('time', () => {
  it('is told in two units while the first is small', () => {
    const cases: readonly (readonly [number, string])[] = [
      [0, '0s'],
      [-5, '0s'],
      [59_999, '59s'],
      [60_000, '1m'],
      [200_000, '3m20s'],
      [720_000, '12m'],
      [19_000_000, '5h16m'],
      [1_047_600_000, '12d'],
    ];
    expect(cases.map(([ms]) => formatDuration(ms))).toEqual(cases.map(([, text]) => text));
  });
  it('has tenths for short spans when both ends have them', () => {
    expect(formatSpan('2026-11-22T12:00:00.000Z', '2026-11-22T12:00:01.250Z')).toBe('1.3s');
    expect(formatSpan('2026-11-22T12:00:00Z', '2026-11-22T12:00:01.250Z')).toBe('1s');
    expect(formatSpan(undefined, '2026-11-22T12:00:01Z')).toBe('');
    expect(formatAge(undefined, 0)).toBe('');
    expect(formatAge('2026-11-22T12:00:00Z', Date.parse('2026-11-22T12:05:00Z'))).toBe('5m');
  });
});

describe('an object', () => {
  it('is JSON or YAML that kubectl reads alike', async () => {
    expect(await renderObject({ a: [1] }, 'json')).toBe('{\n  "a": [\n    1\n  ]\n}\n');
    expect(await renderObject({ a: 'no', b: [1] }, 'yaml')).toBe('a: "no"\nb:\n  - 1\n');
  });
});
