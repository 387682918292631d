import { attemptKey, type AttemptRef } from '@outrider/protocol';
import type { LogStore } from '@outrider/operator/logs/contract';

const pageLines = 1000;

/**
 * Follows one log as the portal does: told of a commit, it reads what is new. The log is that of the first attempt which
 * commits; its lines begin with the instant at which they were made.
 */
export const createTail = (logs: LogStore) => {
  const delays: number[] = [];
  let followed: AttemptRef | undefined;
  let next = 0;
  let reading = false;
  let again = false;

  const readOnce = async (ref: AttemptRef): Promise<void> => {
    const lines = await logs.lines(ref, { from: next, limit: pageLines });
    const now = Date.now();
    for (const { complete, text } of lines) {
      if (!complete) break;
      next += 1;
      const made = Number(text.slice(0, 13));
      if (made > 0) delays.push(now - made);
    }
    if (lines.length === pageLines) again = true;
  };

  const read = async (ref: AttemptRef): Promise<void> => {
    again = true;
    if (reading) return;
    reading = true;
    while (again) {
      again = false;
      await readOnce(ref);
    }
    reading = false;
  };

  logs.onCommit((refs) => {
    followed ??= refs[0];
    const ref = followed;
    if (ref !== undefined && refs.some((each) => attemptKey(each) === attemptKey(ref)))
      read(ref).catch((error: unknown) => console.error(error));
  });
  return { delays: (): readonly number[] => delays.splice(0) };
};
