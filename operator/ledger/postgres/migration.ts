/** One step of the schema. */
export interface Migration {
  /** Counts from 1, without gaps, and apart from SQLite's. */
  readonly version: number;
  readonly name: string;
  readonly sql: string;
}
