import { stripVTControlCharacters } from 'node:util';
import { printableWords } from './printable.ts';

export interface Column<T> {
  readonly title: string;
  readonly value: (row: T) => string | number | undefined;
  /** Colours the finished cell. */
  readonly paint?: (text: string) => string;
  /** Shown by `-o wide` alone. */
  readonly wide?: boolean;
}

const gap = '   ';

const cellOf = <T>(column: Column<T>, row: T): string => {
  const value = column.value(row);
  return value === undefined || value === '' ? '-' : printableWords(`${value}`);
};

/** Columns as kubectl aligns them; a cell without value is `-`. Every line ends with a line end. */
export const renderTable = <T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
  options: { readonly wide?: boolean } = {},
): string => {
  const shown = columns.filter((column) => !column.wide || options.wide);
  const cells = rows.map((row) => shown.map((column) => cellOf(column, row)));
  const widths = shown.map((column, index) =>
    Math.max(column.title.length, ...cells.map((line) => line[index]?.length ?? 0)),
  );
  const pad = (text: string, index: number): string =>
    text + ' '.repeat((widths[index] ?? 0) - stripVTControlCharacters(text).length);
  const join = (line: readonly string[]): string => `${line.map(pad).join(gap).trimEnd()}\n`;
  const paint = (text: string, index: number): string => shown[index]?.paint?.(text) ?? text;
  return [join(shown.map((column) => column.title)), ...cells.map((line) => join(line.map(paint)))].join('');
};

/** `Key:   value` lines; those without value are left out. */
export const renderFields = (fields: readonly (readonly [string, string | undefined])[]): string => {
  const known = fields.flatMap(([title, value]) =>
    value === undefined || value === '' ? [] : [[title, value] as const],
  );
  const width = Math.max(0, ...known.map(([title]) => title.length)) + 1;
  return known.map(([title, value]) => `${`${title}:`.padEnd(width)}  ${value}\n`).join('');
};
