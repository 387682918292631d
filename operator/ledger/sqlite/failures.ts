import { OutriderError, toProblem, type Problem } from '@outrider/protocol';

/** SQLite's primary result codes (https://sqlite.org/rescode.html). */
const codes = {
  busy: 5,
  readOnly: 8,
  ioError: 10,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  notADatabase: 26,
} as const;

const restore = 'Keep the file for analysis, check the disk, and restore the last good copy in its place.';
const storage =
  'Check that the volume has free space, is mounted read-write and is healthy; nothing of this command was kept.';
const single =
  'Stop the other operator first (one replica, update strategy Recreate), then start this one again.';

type Explanation = readonly [why: (what: string) => string, action: string];
const explanations = new Map<number, Explanation>([
  [codes.busy, [(what) => `The ${what} is in use by another process: only one operator may open it`, single]],
  [codes.readOnly, [(what) => `The ${what} cannot be written`, storage]],
  [codes.ioError, [(what) => `The ${what} cannot be read or written`, storage]],
  [codes.corrupt, [(what) => `The ${what} is damaged`, restore]],
  [codes.full, [(what) => `The ${what} cannot grow`, storage]],
  [codes.cannotOpen, [(what) => `The ${what} cannot be opened`, storage]],
  [codes.notADatabase, [(what) => `The ${what} is damaged`, restore]],
]);

const primaryCode = (error: unknown): number | undefined =>
  error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode & 0xff
    : undefined;

/** What a failure of SQLite means to whoever runs the operator. `what` names the store and its file. */
export const explainFailure = (what: string, error: unknown): Problem => {
  const explanation = explanations.get(primaryCode(error) ?? -1);
  if (explanation === undefined) return toProblem(error);
  const [why, action] = explanation;
  const detail = error instanceof Error ? error.message : String(error);
  return { code: 'Unavailable', message: `${why(what)} (${detail}).`, action };
};

/** quick_check found something. */
export const damagedError = (what: string, finding: string): OutriderError =>
  new OutriderError({
    code: 'Unavailable',
    message: `The ${what} is damaged (${finding}).`,
    action: restore,
  });
