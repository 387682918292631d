import { OutriderError } from '@outrider/protocol';

/** SQLSTATE of what may succeed when the same transaction runs again: serialization, deadlock, a partition that was dropped. */
const passing = new Set(['40001', '40P01', '23514']);

export const isPassing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' && passing.has(error.code);

/** What a failure of PostgreSQL means to whoever runs the operator. Nothing of the failed call was kept, or all of it. */
export const logStoreFailure = (error: unknown): OutriderError => {
  if (error instanceof OutriderError) return error;
  const detail = error instanceof Error ? error.message || error.name : String(error);
  return new OutriderError(
    {
      code: 'Unavailable',
      message: `The log store in PostgreSQL did not answer (${detail}).`,
      action:
        'Check that the server of --ledger-url runs, takes connections and has space; runners keep their logs and send them again.',
    },
    { cause: error },
  );
};
