import { errorStatus } from '@outrider/protocol';
import type { ErrorSection } from './error-meaning.ts';
import { errorSections } from './error-meanings.ts';
import type { GeneratedFile } from './files.ts';
import { errorHeader, table } from './markdown.ts';

const statusOf = (status: number): string => (status === 0 ? '' : String(status));

const section = ({ title, errors }: ErrorSection): readonly string[] => [
  `## ${title}`,
  table(
    ['Code', 'HTTP status', 'When', 'What to do'],
    errors.map(({ code, when, action }) => [`\`${code}\``, statusOf(errorStatus[code]), when, action]),
  ),
];

/** docs/reference/errors.md, from the codes of the protocol and what they mean. */
export function errorReference(): GeneratedFile {
  const parts = [
    errorHeader,
    '# Error codes',
    'Every refusal of an API, and every reason of a run, a step or a condition that is an error, has one of these codes. A code ' +
      'never changes its meaning, so scripts may match on it. The message beside it names the object, the cause and what to do; ' +
      'this table says it in general.',
    'Codes without an HTTP status end an attempt or stand in a condition; they never answer a request.',
    ...errorSections.flatMap(section),
  ];
  return { path: 'docs/reference/errors.md', text: `${parts.join('\n\n')}\n` };
}
