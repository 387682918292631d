import type { CellRecord, Observed } from './harness.ts';

const row = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;

const outputOf = ({ logEqual }: Observed): string =>
  logEqual === undefined ? '–' : logEqual ? 'equal' : 'differs';

const describeCell = ({ observed, passed, ...about }: CellRecord): string[] => {
  const place = [about.component, about.fault, about.moment, about.times];
  const seconds = about.seconds.toFixed(0);
  if (observed === undefined) return [...place, 'no result', '–', '–', '–', seconds, 'FAILED'];
  const { result, executions, expectedExecutions, left } = observed;
  return [
    ...place,
    result,
    `${executions} of ${expectedExecutions}`,
    outputOf(observed),
    left.length === 0 ? 'nothing' : `${left.length}`,
    seconds,
    passed ? 'as it should' : 'FAILED',
  ];
};

const total = (records: readonly CellRecord[], of: (observed: Observed) => number): number =>
  records.reduce((sum, { observed }) => sum + (observed ? of(observed) : 0), 0);

const summary = (records: readonly CellRecord[]): string[] => {
  const components = Map.groupBy(records, ({ component }) => component);
  return [
    row(['component', 'cells', 'as they should', 'executions', 'expected']),
    row(['---', '---:', '---:', '---:', '---:']),
    ...[...components].map(([component, of]) =>
      row([
        component,
        of.length,
        of.filter(({ passed }) => passed).length,
        total(of, ({ executions }) => executions),
        total(of, ({ expectedExecutions }) => expectedExecutions),
      ]),
    ),
    row([
      '**all**',
      records.length,
      records.filter(({ passed }) => passed).length,
      total(records, ({ executions }) => executions),
      total(records, ({ expectedExecutions }) => expectedExecutions),
    ]),
  ];
};

/** docs/reliability.md, from the records of one run of the matrix. */
export const renderReliability = (
  records: readonly CellRecord[],
  about: { readonly machine: string; readonly date: string },
): string =>
  [
    '# Reliability',
    '',
    '<!-- Written by `make faults`. Do not edit. -->',
    '',
    'Each row is a real fault: a process killed or frozen by a signal, packets dropped or connections reset in a network',
    'namespace, a disk that is full. What is compared comes from witnesses outside of Outrider: a file on the target counts',
    'executions, SHA-256 compares the log of the portal with what the script wrote, the process table and the folders of the',
    'target tell what is left. *Short* times are a lease of 6 s and everything else in proportion, so that a fault can outlast',
    'it; *Production* are the defaults.',
    '',
    `Command: \`make faults\`; each row is the last run of its cell. Machine: ${about.machine}. Date: ${about.date}.`,
    '',
    ...summary(records),
    '',
    '## Cells',
    '',
    row(['component', 'fault', 'moment', 'times', 'result', 'executions', 'output', 'left', 's', '']),
    row(['---', '---', '---', '---', '---', '---', '---', '---', '---:', '---']),
    ...records.map((entry) => row(describeCell(entry))),
    '',
  ].join('\n');
