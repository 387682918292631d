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

/** What stands between quotes, brackets and commas: `{"token":"…"}` and `{token: …}` may have no white space. */
const delimited = /[\s"',{}[\]]+/;

const partsOfLine = (line: string): string[] =>
  [
    line.trim(),
    ...line
      .split(/\s+/)
      .map(bareWord)
      .filter((word) => !word.endsWith(':')),
    ...line.split(delimited).filter((word) => !word.endsWith(':')),
  ].filter((part) => part.length >= minimumPartLength && !pemBoundary.test(part));

const leavesOf = (value: unknown): string[] => {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(leavesOf) : [];
};

/** The texts in a JSON object or array, as a tool that reads it prints them; none of anything else. */
const jsonTexts = (text: string): string[] => {
  if (!/^[{[]/.test(text)) return [];
  try {
    return leavesOf(JSON.parse(text)).filter((leaf) => leaf.length >= minimumPartLength);
  } catch {
    return [];
  }
};

/** In several lines, or in the brackets of JSON and YAML. */
const isStructured = (text: string): boolean => /[\r\n]|^[{[]/.test(text);

/**
 * What must not appear of one credential value: the value without white space around it (files end with a line feed
 * that people do not print), and, when it has several lines or is JSON, each long line, word and text of it: people
 * print parts of keys, terminals turn \n into \r\n, and the secret of a kubeconfig is one word of it.
 */
export const secretParts = (value: string): string[] => {
  const whole = value.trim();
  if (whole.length < minimumSecretLength) return [];
  if (!isStructured(whole)) return [whole];
  const lines = whole.split(/\r\n|\r|\n/);
  return [
    ...new Set([
      whole,
      lines.join('\n'),
      lines.join('\r\n'),
      ...lines.flatMap(partsOfLine),
      ...jsonTexts(whole).flatMap(secretParts),
    ]),
  ];
};
