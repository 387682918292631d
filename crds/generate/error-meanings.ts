import { apiErrors, joiningErrors, protocolErrors } from './error-meanings-calls.ts';
import { credentialErrors, runErrors, targetErrors } from './error-meanings-tasks.ts';
import type { ErrorSection } from './error-meaning.ts';

/** What each code means to whoever meets it, in the order of runner/protocol/errors.ts. */
export const errorSections: readonly ErrorSection[] = [
  apiErrors,
  joiningErrors,
  protocolErrors,
  runErrors,
  credentialErrors,
  targetErrors,
];
