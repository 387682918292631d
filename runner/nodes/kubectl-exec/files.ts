import { OutriderError } from '@outrider/protocol';
import type { Argument } from './scan.ts';

/** Flags whose value names a file or folder of the runner. */
const FILES = new Set([
  'from-file',
  'from-env-file',
  'patch-file',
  'kustomize',
  'cert',
  'key',
  'custom',
  'prune-allowlist',
]);
/** Output formats that read a file of the runner. */
const FORMATS = /^(jsonpath-file|go-template-file|templatefile|custom-columns-file)(=|$)/;
/** Commands that are about the runner's files. */
const COMMANDS = new Set(['cp', 'kustomize']);

interface Call {
  readonly command: string;
  readonly args: readonly Argument[];
}

/** Throws LocalExecNotAllowed where kubectl would read or write files of the runner. Manifests by http or https are fetched. */
export function refuseFiles(line: number, { command, args }: Call): void {
  if (COMMANDS.has(command)) throw refused(line, `kubectl ${command}`);
  for (const { flag, value = '', shown } of args) {
    if (flag !== undefined && FILES.has(flag)) throw refused(line, shown);
    if (flag === 'filename') checkFilename(line, value, shown);
    if (flag === 'output' && FORMATS.test(value)) throw refused(line, `${shown} ${value}`);
  }
}

function checkFilename(line: number, value: string, shown: string): void {
  if (value === '-') {
    throw new OutriderError({
      code: 'CommandInvalid',
      message: `Line ${line} of command cannot be run: ${shown} - reads stdin, and a step has none.`,
      action: 'Name a URL, or use script with a here-document, which needs the permission for local-exec.',
      details: { line },
    });
  }
  const remote = value.split(',').every((each) => /^https?:\/\//.test(each));
  if (!remote) throw refused(line, `${shown} ${value}`);
}

const refused = (line: number, what: string): OutriderError =>
  new OutriderError({
    code: 'LocalExecNotAllowed',
    message: `Line ${line} of command uses ${what}, which reads or writes files of the runner, and this machine's configuration does not permit local-exec.`,
    action: 'Use a URL (https://…) or literal values, or send the step to a runner that permits local-exec.',
    details: { line },
  });
