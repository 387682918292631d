import { OutriderError } from '@outrider/protocol';

/** One kubectl call as written. */
export interface CommandLine {
  /** Line of the command text that it begins on, from 1. */
  readonly line: number;
  /** Words after quoting; the first is `kubectl`. */
  readonly words: readonly string[];
}

/** What a shell would act on, and what it would do. */
const SPECIAL: Readonly<Record<string, string>> = {
  $: 'a variable or command substitution',
  '`': 'a command substitution',
  ';': 'a second command',
  '|': 'a pipe',
  '&': 'a second command',
  '<': 'a redirection',
  '>': 'a redirection',
  '(': 'a subshell',
  ')': 'a subshell',
  '*': 'a file pattern',
};

interface State {
  readonly text: string;
  at: number;
  line: number;
  /** Undefined between words: a word may be empty, as in ''. */
  word: string | undefined;
  words: string[];
  startedAt: number;
  readonly done: CommandLine[];
}

/**
 * Splits a command text as a POSIX shell would: blanks, quotes, backslash (which at the end of a line continues it),
 * comments. What only a shell could carry out throws CommandInvalid, and so does a line that does not begin with kubectl.
 */
export function splitCommands(text: string): CommandLine[] {
  const state: State = {
    text: text.replaceAll('\r\n', '\n'),
    at: 0,
    line: 1,
    word: undefined,
    words: [],
    startedAt: 1,
    done: [],
  };
  while (state.at < state.text.length) step(state);
  endCommand(state);
  if (state.done.length > 0) return state.done;
  throw invalid(1, 'there is no command in it', 'Write at least one line that begins with kubectl.');
}

function step(state: State): void {
  const char = state.text.charAt(state.at);
  if (char === '\n') {
    endCommand(state);
    next(state);
  } else if (char === ' ' || char === '\t') {
    endWord(state);
    next(state);
  } else if (char === '#' && state.word === undefined) {
    while (state.at < state.text.length && state.text[state.at] !== '\n') next(state);
  } else {
    inWord(state, char);
  }
}

function inWord(state: State, char: string): void {
  if (char === '\\') {
    escape(state);
    return;
  }
  begin(state);
  if (char === "'") single(state);
  else if (char === '"') double(state);
  else take(state, char);
}

/** A backslash before a line end is as if neither were there. */
function escape(state: State): void {
  const following = state.text[state.at + 1];
  if (following === undefined) throw invalid(state.line, 'it ends with a backslash', 'Remove it.');
  next(state);
  next(state);
  if (following === '\n') return;
  begin(state);
  add(state, following);
}

function take(state: State, char: string): void {
  refuseSpecial(state, char);
  add(state, char);
  next(state);
}

function single(state: State): void {
  const line = state.line;
  next(state);
  const end = state.text.indexOf("'", state.at);
  if (end < 0) throw unclosed(line, "'");
  while (state.at < end) {
    add(state, state.text.charAt(state.at));
    next(state);
  }
  next(state);
}

function double(state: State): void {
  const line = state.line;
  next(state);
  for (;;) {
    const char = state.text[state.at];
    if (char === undefined) throw unclosed(line, '"');
    if (char === '"') break;
    inDouble(state, char);
  }
  next(state);
}

function inDouble(state: State, char: string): void {
  if (char === '$' || char === '`') refuseSpecial(state, char);
  const following = state.text[state.at + 1] ?? '';
  const escapes = char === '\\' && ['$', '`', '"', '\\', '\n'].includes(following);
  if (escapes) next(state);
  const literal = escapes ? following : char;
  if (!(escapes && following === '\n')) add(state, literal);
  next(state);
}

function next(state: State): void {
  if (state.text[state.at] === '\n') state.line++;
  state.at++;
}

function begin(state: State): void {
  if (state.words.length === 0 && state.word === undefined) state.startedAt = state.line;
  state.word ??= '';
}

function add(state: State, char: string): void {
  state.word = (state.word ?? '') + char;
}

function endWord(state: State): void {
  if (state.word !== undefined) state.words.push(state.word);
  state.word = undefined;
}

function endCommand(state: State): void {
  endWord(state);
  const { words, startedAt } = state;
  state.words = [];
  if (words.length === 0) return;
  if (words[0] !== 'kubectl') {
    throw invalid(
      startedAt,
      `it begins with ${JSON.stringify(words[0])}`,
      'Begin each line with kubectl; use script, which needs the permission for local-exec, for anything else.',
    );
  }
  state.done.push({ line: startedAt, words });
}

function refuseSpecial(state: State, char: string): void {
  const meaning = SPECIAL[char];
  if (meaning === undefined) return;
  throw invalid(
    state.line,
    `it holds ${char}, which in a shell is ${meaning}, and no shell runs here`,
    `Put it in single quotes if the character itself is meant; use script, which needs the permission for local-exec, otherwise.`,
  );
}

const unclosed = (line: number, quote: string): OutriderError =>
  invalid(line, `the quote ${quote} that begins on it is never closed`, 'Close the quote.');

const invalid = (line: number, why: string, action: string): OutriderError =>
  new OutriderError({
    code: 'CommandInvalid',
    message: `Line ${line} of command cannot be run: ${why}.`,
    action,
    details: { line },
  });
