import type { ClientBase, Pool } from 'pg';
import type { AttemptRef } from '@outrider/protocol';
import { formatState, parseState, type AssemblerState } from '../line-assembler.ts';
import { beginning, type Checkpoint } from '../log-fold.ts';

type Sql = Pick<ClientBase | Pool, 'query'>;

/** An attempt's log as the database has it. */
export interface LogRow {
  readonly ref: AttemptRef;
  readonly id: string;
  readonly day: number;
  readonly offset: number;
  readonly lines: AssemblerState;
  readonly end: 'Open' | 'Complete' | 'Incomplete';
  readonly expected: { readonly length: number; readonly sha256: string } | undefined;
  readonly endedAt: number | null;
}

/** bigint comes as text. */
interface RawRow {
  readonly id: string;
  readonly task: string;
  readonly epoch: number;
  readonly day: number;
  readonly log_offset: string;
  readonly lines: number;
  readonly open: string;
  readonly ending: LogRow['end'];
  readonly expected_length: string | null;
  readonly expected_sha256: string | null;
  readonly ended_at: number | null;
}

const toRow = (row: RawRow): LogRow => ({
  ref: { task: row.task, epoch: row.epoch },
  id: row.id,
  day: row.day,
  offset: Number(row.log_offset),
  lines: parseState(row.lines, row.open),
  end: row.ending,
  expected:
    row.expected_sha256 === null
      ? undefined
      : { length: Number(row.expected_length), sha256: row.expected_sha256 },
  endedAt: row.ended_at,
});

export const findRow = async (sql: Sql, { task, epoch }: AttemptRef): Promise<LogRow | undefined> => {
  const text = 'SELECT * FROM log_attempts WHERE task = $1 AND epoch = $2';
  const { rows } = await sql.query<RawRow>({ name: 'log-find', text, values: [task, epoch] });
  return rows[0] && toRow(rows[0]);
};

const columnsOf = (refs: readonly AttemptRef[]): [string[], number[]] => [
  refs.map(({ task }) => task),
  refs.map(({ epoch }) => epoch),
];

/** Makes the rows that are missing. Sorted, so that replicas that make the same ones wait for each other in one order. */
export const insertRows = async (sql: Sql, refs: readonly AttemptRef[], day: number): Promise<void> => {
  const text = `INSERT INTO log_attempts (task, epoch, day)
    SELECT task, epoch, $3 FROM unnest($1::text[], $2::int[]) AS asked (task, epoch) ORDER BY task, epoch
    ON CONFLICT (task, epoch) DO NOTHING`;
  await sql.query({ name: 'log-insert', text, values: [...columnsOf(refs), day] });
};

/** The rows, locked until the end of the transaction. */
export const lockRows = async (sql: Sql, refs: readonly AttemptRef[]): Promise<LogRow[]> => {
  const text = `SELECT log_attempts.* FROM log_attempts
    JOIN unnest($1::text[], $2::int[]) AS asked (task, epoch) USING (task, epoch)
    ORDER BY task, epoch FOR UPDATE OF log_attempts`;
  const { rows } = await sql.query<RawRow>({ name: 'log-lock', text, values: columnsOf(refs) });
  return rows.map(toRow);
};

export const updateRows = async (sql: Sql, rows: readonly LogRow[]): Promise<void> => {
  const text = `UPDATE log_attempts SET log_offset = new.log_offset, lines = new.lines, open = new.open,
      ending = new.ending, expected_length = new.expected_length, expected_sha256 = new.expected_sha256,
      ended_at = new.ended_at
    FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::float8[])
      AS new (id, log_offset, lines, open, ending, expected_length, expected_sha256, ended_at)
    WHERE log_attempts.id = new.id`;
  const values = [
    rows.map(({ id }) => id),
    rows.map(({ offset }) => offset),
    rows.map(({ lines }) => lines.next),
    rows.map(({ lines }) => formatState(lines)),
    rows.map(({ end }) => end),
    rows.map(({ expected }) => expected?.length ?? null),
    rows.map(({ expected }) => expected?.sha256 ?? null),
    rows.map(({ endedAt }) => endedAt),
  ];
  await sql.query({ name: 'log-update', text, values });
};

type Place = Pick<LogRow, 'day' | 'id'>;

/** The last checkpoint before the line starts; the beginning when there is none. */
export const findCheckpoint = async (sql: Sql, { day, id }: Place, line: number): Promise<Checkpoint> => {
  const text = `SELECT next_line, start, open FROM log_checkpoints
    WHERE day = $1 AND attempt = $2 AND next_line <= $3 ORDER BY next_line DESC, start DESC LIMIT 1`;
  const { rows } = await sql.query<{ next_line: number; start: string; open: string }>({
    name: 'log-checkpoint',
    text,
    values: [day, id, line],
  });
  const [row] = rows;
  if (row === undefined) return beginning;
  return { start: Number(row.start), state: parseState(row.next_line, row.open) };
};

/** Rows read at a time, of at most `chunkBytes` each. */
const chunksPerRead = 16;

/** Framed bytes of [from, to) in pieces as they were stored. */
export async function* readBytes(
  sql: Sql,
  { day, id }: Place,
  range: { readonly from: number; readonly to: number },
): AsyncGenerator<Uint8Array> {
  const text = `SELECT start, bytes FROM log_chunks WHERE day = $1 AND attempt = $2 AND start < $4
    AND start >= (SELECT coalesce(max(start), 0) FROM log_chunks WHERE day = $1 AND attempt = $2 AND start <= $3)
    ORDER BY start LIMIT ${chunksPerRead}`;
  let { from } = range;
  while (from < range.to) {
    const values = [day, id, from, range.to];
    const { rows } = await sql.query<{ start: string; bytes: Buffer }>({ name: 'log-bytes', text, values });
    if (rows.length === 0) return;
    for (const row of rows) {
      const start = Number(row.start);
      const bytes = row.bytes.subarray(from - start, range.to - start);
      if (bytes.length === 0) return;
      from += bytes.length;
      yield bytes;
    }
  }
}

/** A larger piece is cut, so that no reader has to hold more at a time. */
export const chunkBytes = 262_144;

export interface NewChunk {
  readonly place: Place;
  readonly start: number;
  readonly bytes: Uint8Array;
}

export interface NewCheckpoint {
  readonly place: Place;
  readonly checkpoint: Checkpoint;
}

const maxRows = 500;

/** `($1, $2, $3, $4), ($5, …` */
const placeholders = (rows: number, columns: number): string =>
  Array.from({ length: rows }, (_, row) => {
    const names = Array.from({ length: columns }, (_name, column) => `$${row * columns + column + 1}`);
    return `(${names.join(', ')})`;
  }).join(', ');

const insertMany = async (sql: Sql, into: string, rows: readonly (readonly unknown[])[]): Promise<void> => {
  for (let at = 0; at < rows.length; at += maxRows) {
    const some = rows.slice(at, at + maxRows);
    const columns = some[0]?.length ?? 0;
    await sql.query(`INSERT INTO ${into} VALUES ${placeholders(some.length, columns)}`, some.flat());
  }
};

export const insertChunks = (sql: Sql, chunks: readonly NewChunk[]): Promise<void> =>
  insertMany(
    sql,
    'log_chunks (day, attempt, start, bytes)',
    chunks.map(({ place, start, bytes }) => [place.day, place.id, start, Buffer.from(bytes)]),
  );

export const insertCheckpoints = (sql: Sql, checkpoints: readonly NewCheckpoint[]): Promise<void> =>
  insertMany(
    sql,
    'log_checkpoints (day, attempt, next_line, start, open)',
    checkpoints.map(({ place, checkpoint: { start, state } }) => [
      place.day,
      place.id,
      state.next,
      start,
      formatState(state),
    ]),
  );
