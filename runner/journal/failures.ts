import { OutriderError } from '@outrider/protocol';

/** Disk full, quota used up, file-size limit reached: space may come back. */
const outOfSpace = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

export const isOutOfSpace = (error: unknown): boolean => outOfSpace.has(codeOf(error));

export const isMissing = (error: unknown): boolean => codeOf(error) === 'ENOENT';

export const isTaken = (error: unknown): boolean => codeOf(error) === 'EEXIST';

/** Thrown when nothing was recorded because there is no room; what was recorded before stands. */
export const journalFull = (folder: string, why: string, cause?: unknown): OutriderError =>
  new OutriderError(
    {
      code: 'JournalFull',
      message: `The journal in ${folder} has no room: ${why}.`,
      action: 'Free space on that file system or give the journal more, or let fewer tasks run at once.',
    },
    { cause },
  );

/**
 * Thrown when the disk failed in a way after which nobody knows what it holds (a failed fsync may have dropped the
 * pages that it could not write). The journal takes nothing more; a restart rereads what is really there.
 */
export const journalFailed = (folder: string, cause: unknown): OutriderError =>
  new OutriderError(
    {
      code: 'JournalFailed',
      message: `The journal in ${folder} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}.`,
      action: 'Check the disk, then restart the runner: it goes on with what is recorded.',
    },
    { cause },
  );

/** Thrown when recorded attempts are unreadable: going on without them could run a step a second time. */
export const journalDamaged = (path: string, offset: number): OutriderError =>
  new OutriderError({
    code: 'JournalDamaged',
    message: `The journal ${path} is damaged at byte ${offset}, before records that were written later: what this runner had taken on is no longer known.`,
    action:
      'Check the disk and look on the targets for what still runs. Then move the file away and start again: the operator treats what this runner had open as lost, by the onLost policy of each step.',
  });

export const journalLocked = (folder: string, owner: number): OutriderError =>
  new OutriderError({
    code: 'JournalLocked',
    message: `The journal in ${folder} is in use by process ${owner}.`,
    action: 'Give each runner a data folder of its own, or end that process.',
  });

/** Thrown for a call that the state of the attempt does not allow: a defect of the caller, never of the disk. */
export const misuse = (what: string): OutriderError =>
  new OutriderError({
    code: 'StateMismatch',
    message: `The journal refuses: ${what}.`,
    action: 'This is a defect: report it with the log of this moment.',
  });

/** What a failed write means to the caller. */
export const writeFailure = (folder: string, error: unknown): OutriderError =>
  isOutOfSpace(error)
    ? journalFull(folder, error instanceof Error ? error.message : String(error), error)
    : journalFailed(folder, error);
