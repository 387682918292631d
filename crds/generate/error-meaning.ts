import type { ErrorCode } from '@outrider/protocol';

export interface ErrorMeaning {
  readonly code: ErrorCode;
  /** When it is reported. */
  readonly when: string;
  /** What the reader does about it. */
  readonly action: string;
}

export interface ErrorSection {
  readonly title: string;
  readonly errors: readonly ErrorMeaning[];
}
