/** One step of the schema. */
export interface Migration {
  /** Counts from 1, without gaps. */
  readonly version: number;
  readonly name: string;
  readonly sql: string;
  /** It builds a table anew to which others refer: foreign keys rest meanwhile, and are checked before the commit. */
  readonly rebuilds?: boolean;
}
