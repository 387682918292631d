/**
 * Joins lines of a POSIX shell program into one line that any login shell hands on unchanged inside single quotes:
 * csh takes no line end there and an exclamation mark only before a space, and none takes a single quote.
 */
export function oneLine(program: string): string {
  const lines = program
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  const line = lines
    .map((line, index) =>
      index === lines.length - 1
        ? line
        : `${line}${/(\b(then|do|else|in)|\{|;;|&|\|\|)$/.test(line) ? ' ' : '; '}`,
    )
    .join('');
  if (/'|!(?! )/.test(line))
    throw new Error('a remote program may hold no single quote, and an exclamation mark only before a space');
  return line;
}

/** The command for a channel: the program in /bin/sh, whatever the user's login shell is. Its stdin is free. */
export const shellCommand = (program: string, ...args: readonly string[]): string =>
  [`exec /bin/sh -c '${oneLine(program)}' outrider`, ...args.map((each) => `'${oneLine(each)}'`)].join(' ');

/** A word that a POSIX shell reads as exactly this text. */
export const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
