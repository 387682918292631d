import { OutriderError } from '@outrider/protocol';

/** One argument in front of `--`. */
export interface Argument {
  /** Long name of the flag; undefined for a positional argument. */
  readonly flag: string | undefined;
  /** Value of the flag; of one without `=` the argument that follows, which a boolean flag does not take. */
  readonly value: string | undefined;
  /** As written, for messages; without a value. */
  readonly shown: string;
}

export interface Scanned {
  readonly command: string;
  readonly args: readonly Argument[];
}

const LONG: Readonly<Record<string, string>> = {
  s: 'server',
  n: 'namespace',
  A: 'all-namespaces',
  f: 'filename',
  k: 'kustomize',
  o: 'output',
};

/** Short flags that always take a value: the rest of the word is that value. */
const WITH_VALUE = new Set(['n', 'k', 'o', 'l', 'L', 'v', 'c', 's']);

/** Flags that never take the next argument, as they may stand in front of `--`. */
const BOOLEAN = new Set([
  '-i',
  '-t',
  '-it',
  '-ti',
  '-q',
  '-iq',
  '-qi',
  '-itq',
  '-qit',
  '--stdin',
  '--tty',
  '--quiet',
  '--rm',
  '--command',
  '--attach',
  '--all',
  '--force',
  '--overwrite',
  '--wait',
]);

/**
 * Reads arguments as kubectl does, and where that depends on the command, as the stricter of both readings: whatever
 * kubectl could take for a flag is reported as one. `--` ends flags only where it cannot be the value of one.
 */
export function scanArguments(line: number, words: readonly string[]): Scanned {
  const { command, rest } = findCommand(line, words);
  const args: Argument[] = [...rest.leading];
  let previous = '';
  for (const [index, word] of rest.words.entries()) {
    if (word === '--') {
      if (!previous.startsWith('-') || previous.includes('=') || BOOLEAN.has(previous)) break;
      throw ambiguous(line, previous);
    }
    args.push(...readArgument(word, rest.words[index + 1], command));
    previous = word;
  }
  return { command, args };
}

interface Rest {
  readonly leading: readonly Argument[];
  readonly words: readonly string[];
}

/** In front of the command only flags with a value that is surely theirs are understood. */
function findCommand(line: number, words: readonly string[]): { command: string; rest: Rest } {
  const leading: Argument[] = [];
  let at = 0;
  for (let word = words[at]; word?.startsWith('-'); word = words[at]) {
    const separate = word === '-n' || word === '--namespace';
    if (!separate && !word.includes('=')) throw misplaced(line, word);
    leading.push(...readArgument(word, words[at + 1], ''));
    at += separate ? 2 : 1;
  }
  const command = words[at];
  if (command === undefined) throw misplaced(line, words.join(' '));
  return { command, rest: { leading, words: words.slice(at + 1) } };
}

function readArgument(word: string, following: string | undefined, command: string): Argument[] {
  if (word === '-' || !word.startsWith('-')) return [{ flag: undefined, value: word, shown: word }];
  if (!word.startsWith('--')) return readShort(word, following, command);
  const equals = word.indexOf('=');
  if (equals < 0) return [{ flag: normal(word.slice(2)), value: following, shown: word }];
  return [
    { flag: normal(word.slice(2, equals)), value: word.slice(equals + 1), shown: word.slice(0, equals) },
  ];
}

/** kubectl takes an underscore in a flag's name for a dash. */
const normal = (name: string): string => name.replaceAll('_', '-');

/** `-it`, `-nNAMESPACE`, `-Af FILE`: letters until one takes the rest. */
function readShort(word: string, following: string | undefined, command: string): Argument[] {
  const found: Argument[] = [];
  const letters = word.slice(1);
  for (const [index, letter] of letters.split('').entries()) {
    const rest = letters.slice(index + 1);
    if (letter === '=') break;
    const flag = command === 'logs' && letter === 'f' ? 'follow' : (LONG[letter] ?? letter);
    const value = rest === '' ? following : rest.replace(/^=/, '');
    found.push({ flag, value, shown: `-${letter}` });
    if (WITH_VALUE.has(letter) || flag === 'filename') break;
  }
  return found;
}

const ambiguous = (line: number, flag: string): OutriderError =>
  new OutriderError({
    code: 'CommandInvalid',
    message: `Line ${line} of command cannot be run: -- follows ${flag}, and could be taken for its value.`,
    action: `Write ${flag}=VALUE (true for a flag without one), or put another argument between them.`,
    details: { line },
  });

const misplaced = (line: number, what: string): OutriderError =>
  new OutriderError({
    code: 'CommandInvalid',
    message: `Line ${line} of command cannot be run: no command of kubectl follows it directly${what === '' ? '' : `, but ${what}`}.`,
    action: 'Write the command first and its flags after it, as in kubectl get pods -o name.',
    details: { line },
  });
