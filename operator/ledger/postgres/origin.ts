/**
 * Which history of the data this is: the server's system identifier (made by initdb) and its timeline, which a new primary
 * begins when it is promoted or when a backup is restored up to a point in time.
 */
export interface Origin {
  readonly system: string;
  /** Eight hexadecimal digits. */
  readonly timeline: string;
}

/** The timeline of the write-ahead log, since that of the last checkpoint is behind for a while after a promotion. */
export const originSql = `
SELECT pg_is_in_recovery() AS standby, current_setting('server_version_num')::integer AS version,
  (SELECT system_identifier::text FROM pg_control_system()) AS system,
  CASE WHEN pg_is_in_recovery() THEN '' ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END AS timeline`;

export interface OriginRow extends Origin {
  readonly standby: boolean;
  /** Such as 150018. */
  readonly version: number;
}

export const formatOrigin = ({ system, timeline }: Origin): string => `${system}/${timeline}`;
