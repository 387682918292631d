/**
 * Values shorter than this are not redacted: they stand in ordinary output everywhere, so that redacting them would
 * destroy logs, and their absence would show where they were. Counted in UTF-16 units after trimming white space.
 */
export const minimumSecretLength = 4;

/** A line or word of a multi-line secret is redacted on its own from this length. */
export const minimumPartLength = 16;

/** `-----BEGIN OPENSSH PRIVATE KEY-----` and the like are in every key and say nothing. */
const pemBoundary = /^-----(BEGIN|END) [A-Z0-9 ]+-----$/;

/** A word as it stands in YAML or JSON, without quotes and separators around it. */
const bareWord = (word: string): string => word.replaceAll(/^["']+|["',]+$/g, '');

const partsOfLine = (line: string): string[] =>
  [
    line.trim(),
    ...line
      .split(/\s+/)
      .map(bareWord)
      .filter((word) => !word.endsWith(':')),
  ].filter((part) => part.length >= minimumPartLength && !pemBoundary.test(part));

/**
 * What must not appear of one credential value: the value without white space around it (files end with a line feed
 * that people do not print), and, when it has several lines, each long line and each long word of it: people print
 * parts of keys, terminals turn \n into \r\n, and the secret of a kubeconfig is one word of it.
 */
export const secretParts = (value: string): string[] => {
  const whole = value.trim();
  if (whole.length < minimumSecretLength) return [];
  const lines = whole.split(/\r\n|\r|\n/);
  if (lines.length === 1) return [whole];
  return [...new Set([whole, lines.join('\n'), lines.join('\r\n'), ...lines.flatMap(partsOfLine)])];
};
