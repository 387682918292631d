import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import type { Row, Section } from './section.ts';

export const missedMark = '**missed**';

const machine = (): string => {
  const model = cpus()[0]?.model ?? 'unknown processor';
  return `${cpus().length} × ${model}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${process.arch}, Node ${process.version}`;
};

const verdict = ({ met }: Row): string => (met === undefined ? '' : met ? 'met' : missedMark);

const renderRow = (row: Row): string =>
  `| ${row.figure} | ${row.value} | ${row.goal ?? ''} | ${verdict(row)} |`;

const renderSection = ({ title, text, rows, notes }: Section): string =>
  [
    `## ${title}`,
    text,
    ['| figure | value | goal | |', '|---|---|---|---|', ...rows.map(renderRow)].join('\n'),
    ...(notes === undefined ? [] : [notes]),
  ].join('\n\n');

const begin = (part: string): string => `<!-- ${part} -->`;

/** Sections of the file as it is, by part: those that are not measured now stay. */
const readSections = (file: string): Map<string, string> => {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return new Map(
    [...text.matchAll(/<!-- ([a-z]+) -->\n([\s\S]*?)(?=\n<!-- |$)/g)].map(([, part = '', body = '']) => [
      part,
      body.trim(),
    ]),
  );
};

const introduction = (): string => `# Benchmarks

\`make bench\` writes this file; \`make bench PARTS=idle,cycle\` measures again what it names. Machine: ${machine()}. Operator, runners,
API server, etcd and the load all share it. Baselines are measured in the same run.`;

/** Writes the sections that were measured, each with the day, beside those that were not. */
export const writeDocument = (
  file: string,
  order: readonly string[],
  measured: ReadonlyMap<string, Section>,
): void => {
  const sections = readSections(file);
  const today = new Date().toISOString().slice(0, 10);
  for (const [part, section] of measured)
    sections.set(part, renderSection({ ...section, text: `${today}. ${section.text}` }));
  const bodies = order.flatMap((part) => {
    const body = sections.get(part);
    return body === undefined ? [] : [`${begin(part)}\n${body}`];
  });
  writeFileSync(file, `${[introduction(), ...bodies].join('\n\n')}\n`);
};

/** For the terminal: the rows alone. */
export const printSection = ({ title, rows }: Section): string =>
  [title, ...rows.map((row) => `  ${row.figure}: ${row.value} ${row.goal ?? ''} ${verdict(row)}`)].join('\n');
