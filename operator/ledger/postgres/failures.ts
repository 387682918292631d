import { OutriderError, toProblem, type Problem } from '@outrider/protocol';

/** The server only follows another one: it may be promoted, or the name may be pointed at the primary. */
export class StandbyError extends OutriderError {
  constructor(what: string) {
    super({
      code: 'Unavailable',
      message: `The ${what} is a standby and cannot be written.`,
      action:
        'Point --ledger-url at the primary, or at a name or proxy that follows it; the operator goes on by itself then.',
    });
  }
}

/** SQLSTATE of the server (https://www.postgresql.org/docs/current/errcodes-appendix.html), or Node's code of a socket. */
export const failureCode = (error: unknown): string => {
  if (!(error instanceof Error)) return '';
  if ('code' in error && typeof error.code === 'string') return error.code;
  // What the driver says when a connection goes away without a word.
  return /terminated|not queryable|Query read timeout|timeout expired|was closed/i.test(error.message)
    ? 'ConnectionLost'
    : '';
};

/** Two transactions stood in each other's way, and one was rolled back: the same again succeeds. */
const conflicts: ReadonlySet<string> = new Set(['40001', '40P01', '55P03']);

/**
 * The session is of no more use, and another one may be: the server or the way to it is not there now (classes 08 and 57P,
 * sockets), it has become a standby, or the statements that were prepared are out of date since a newer operator has added to
 * the schema (0A000).
 */
const away =
  /^(08|57P|0A000|53300|25006|25P0[34]|ConnectionLost|ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|ENOENT)/;

export const isConflict = (error: unknown): boolean => conflicts.has(failureCode(error));
export const isAway = (error: unknown): boolean =>
  error instanceof StandbyError || away.test(failureCode(error));

type Explanation = readonly [match: RegExp, why: (what: string) => string, action: string];

const again = 'Nothing of this command was kept; it is tried again by whoever sent it.';
const explanations: readonly Explanation[] = [
  [
    /^53300/,
    (what) => `The ${what} has no connection free`,
    'Raise max_connections of the server, or end what else uses it: each operator needs up to eight connections.',
  ],
  [
    /^(28|3D000|42501)/,
    (what) => `The ${what} does not let this operator in`,
    "Check the user, the password and the database in --ledger-url; the database's owner has the rights that are needed.",
  ],
  [
    /^53/,
    (what) => `The ${what} has no space or memory left`,
    `Give the server more space or memory. ${again}`,
  ],
  [
    /^XX00[12]|^58/,
    (what) => `The ${what} is damaged`,
    'Keep the server for analysis, check its disk, and restore the last good backup.',
  ],
  [
    /^57014/,
    (what) => `The ${what} took too long over a statement`,
    `Check the load and the locks of the server (pg_stat_activity). ${again}`,
  ],
  [
    /^(40|55P03)/,
    (what) => `The ${what} is held up by another operator`,
    `Check for transactions that do not end (pg_stat_activity). ${again}`,
  ],
  [
    away,
    (what) => `The ${what} cannot be reached`,
    `Check that the server runs, takes connections and is no standby; the operator goes on by itself when it is back. ${again}`,
  ],
];

/** What a failure of PostgreSQL means to whoever runs the operator. `what` names the store and its server. */
export const explainFailure = (what: string, error: unknown): Problem => {
  if (error instanceof OutriderError) return error.toJSON();
  const code = failureCode(error);
  const found = explanations.find(([match]) => match.test(code));
  if (found === undefined) return toProblem(error);
  const [, why, action] = found;
  const detail = error instanceof Error ? error.message : String(error);
  return { code: 'Unavailable', message: `${why(what)} (${detail}).`, action };
};

const unavailable = (message: string, action: string): OutriderError =>
  new OutriderError({ code: 'Unavailable', message, action });

/** The first with transaction numbers of eight bytes. */
const oldest = 130_000;

/** @param version As the server counts: 150018 is 15.18. @throws OutriderError Unavailable */
export const requireVersion = (what: string, version: number): void => {
  if (version >= oldest) return;
  throw unavailable(
    `The ${what} runs on PostgreSQL ${Math.floor(version / 10_000)}, which is too old.`,
    'Use PostgreSQL 13 or later.',
  );
};

/** A call that waited for a free connection for as long as it may, or found too many before it. */
export const busyError = (what: string, waited: string): OutriderError =>
  unavailable(
    `The ${what} is busy: ${waited}.`,
    'Nothing of this command was kept. Send it again; if this lasts, give the server more CPU or look for slow transactions in pg_stat_activity.',
  );

export const closedError = (what: string): OutriderError =>
  unavailable(`The ${what} is closed.`, 'Start the operator again; what was answered is kept.');

/** The connection was lost while the server committed, and the server cannot say any more whether it did. */
export const unknownOutcomeError = (what: string, detail: string): OutriderError =>
  unavailable(
    `The ${what} was lost during a commit, and whether it was made is not known (${detail}).`,
    'Send the command again: it finds what was kept and changes nothing twice.',
  );
