import { OutriderError } from '@outrider/protocol';
import fc from 'fast-check';
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { quoteLine } from './quote.ts';
import { splitCommands } from './split.ts';

/** How /bin/sh itself splits the text when kubectl is a function that prints each call's words. */
function shellSplit(text: string): string[][] {
  const program = `kubectl() { printf '%s\\0' kubectl "$@"; printf '\\1\\0'; }\n${text}\n`;
  const shell = spawnSync('/bin/sh', ['-f', '-c', program], { encoding: 'utf8', cwd: '/' });
  if (shell.status !== 0) throw new Error(shell.stderr);
  return shell.stdout
    .split('\u0001\0')
    .slice(0, -1)
    .map((call) => call.split('\0').slice(0, -1));
}

const ours = (text: string): string[][] => splitCommands(text).map(({ words }) => [...words]);

const problem = (text: string): string => {
  try {
    return JSON.stringify(ours(text));
  } catch (error) {
    return error instanceof OutriderError ? `${error.code}: ${error.message}` : String(error);
  }
};

describe('a command text splits as in a POSIX shell', () => {
  test.each([
    ['kubectl get pods', [['kubectl', 'get', 'pods']]],
    [
      '# first\n\n  kubectl get pods  # rest\nkubectl get svc\n',
      [
        ['kubectl', 'get', 'pods'],
        ['kubectl', 'get', 'svc'],
      ],
    ],
    ['kubectl get \\\n  pods \\\n  -o name', [['kubectl', 'get', 'pods', '-o', 'name']]],
    [
      'kubectl get\r\nkubectl version\r\n',
      [
        ['kubectl', 'get'],
        ['kubectl', 'version'],
      ],
    ],
    [`kubectl patch x -p '{"a": "$b"}' ""`, [['kubectl', 'patch', 'x', '-p', '{"a": "$b"}', '']]],
    ['kubectl label x "a=\\"b\\\\\\$c"', [['kubectl', 'label', 'x', 'a="b\\$c']]],
    [
      'kubectl get -o jsonpath={.items[0].metadata.name}',
      [['kubectl', 'get', '-o', 'jsonpath={.items[0].metadata.name}']],
    ],
    ["kubectl patch -p 'two\nlines' x#y", [['kubectl', 'patch', '-p', 'two\nlines', 'x#y']]],
  ])('%j', (text, expected) => {
    expect(ours(text)).toEqual(expected);
  });

  test('for any words that are quoted, with the shell as judge', () => {
    const word = fc.string({
      unit: fc.constantFrom(...'ab \t\n\'"\\$`;|&<>()*#~!{}[]=-'.split('')),
      maxLength: 12,
    });
    fc.assert(
      fc.property(fc.array(fc.array(word, { maxLength: 4 }), { minLength: 1, maxLength: 3 }), (calls) => {
        const text = calls.map((words) => quoteLine(['kubectl', ...words])).join('\n');
        expect(ours(text)).toEqual(calls.map((words) => ['kubectl', ...words]));
        expect(ours(text)).toEqual(shellSplit(text));
      }),
      { numRuns: 150 },
    );
  });

  test('for any text that it accepts, with the shell as judge', () => {
    const piece = fc.constantFrom(
      ' ',
      '\n',
      '\\\n',
      '\\ ',
      '\\a',
      "'",
      '"',
      'a',
      'b=c',
      '#',
      '\\"',
      "\\'",
      '{x}',
      '\\\\',
      '-',
      '!',
    );
    let accepted = 0;
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
        const text = `kubectl ${pieces.join('')}`;
        if (problem(text).startsWith('CommandInvalid')) return;
        accepted++;
        expect(ours(text)).toEqual(shellSplit(text));
      }),
      { numRuns: 400 },
    );
    expect(accepted).toBeGreaterThan(50);
  });
});

describe('what needs a shell is refused with its line', () => {
  test.each([
    [
      'kubectl get pods\nkubectl get pods | grep x',
      2,
      'it holds |, which in a shell is a pipe, and no shell runs here',
    ],
    [
      'kubectl get $X',
      1,
      'it holds $, which in a shell is a variable or command substitution, and no shell runs here',
    ],
    [
      'kubectl get "$X"',
      1,
      'it holds $, which in a shell is a variable or command substitution, and no shell runs here',
    ],
    ['kubectl get `id`', 1, 'it holds `, which in a shell is a command substitution, and no shell runs here'],
    ['kubectl get; id', 1, 'it holds ;, which in a shell is a second command, and no shell runs here'],
    ['kubectl get && id', 1, 'it holds &, which in a shell is a second command, and no shell runs here'],
    ['kubectl get >x', 1, 'it holds >, which in a shell is a redirection, and no shell runs here'],
    ['kubectl apply -f *.yaml', 1, 'it holds *, which in a shell is a file pattern, and no shell runs here'],
    ["kubectl get\nkubectl x 'y", 2, "the quote ' that begins on it is never closed"],
    ['kubectl get \\', 1, 'it ends with a backslash'],
    ['helm list', 1, 'it begins with "helm"'],
    ['FOO=bar kubectl get', 1, 'it begins with "FOO=bar"'],
    ['# nothing', 1, 'there is no command in it'],
  ])('%j', (text, line, why) => {
    expect(problem(text)).toBe(`CommandInvalid: Line ${line} of command cannot be run: ${why}.`);
  });
});
