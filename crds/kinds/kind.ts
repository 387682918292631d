import type { CelRule, TSchema } from '@outrider/schema';

/** A column of `kubectl get`. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date' | 'boolean';
  readonly jsonPath: string;
  readonly description: string;
  /** 0 is always shown, 1 only by `-o wide`. Default: 0. */
  readonly priority?: 0 | 1;
}

/** Everything that the API server must know of one kind. */
export interface KindDefinition {
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  /** What `kubectl explain` says first. */
  readonly description: string;
  readonly spec: TSchema;
  readonly status: TSchema;
  readonly columns: readonly PrinterColumn[];
  /** Fields that `--field-selector` accepts. */
  readonly selectableFields: readonly string[];
  /** Rules on the object as a whole; of metadata they see only the name. */
  readonly rules: readonly CelRule[];
}

export const ageColumn: PrinterColumn = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description: 'Time since it was created.',
};

/** Status of one condition. */
export const conditionColumn = (type: string, description: string): PrinterColumn => ({
  name: type,
  type: 'string',
  jsonPath: `.status.conditions[?(@.type=="${type}")].status`,
  description,
});

/** Reason of one condition. */
export const reasonColumn = (type: string): PrinterColumn => ({
  name: 'Reason',
  type: 'string',
  jsonPath: `.status.conditions[?(@.type=="${type}")].reason`,
  description: `Why ${type} is what it is.`,
});
