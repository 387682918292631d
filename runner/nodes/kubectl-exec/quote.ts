/** A command line as one would type it: words that a shell would change stand in single quotes. */
export const quoteLine = (words: readonly string[]): string => words.map(quoteWord).join(' ');

const quoteWord = (word: string): string =>
  /^[A-Za-z0-9_@%+=:,./{}[\]-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
