import type { WorkflowSpec } from '@outrider/kinds';
import { missingStores } from '../stores/references.ts';

export interface MissingReferences {
  readonly targets: readonly string[];
  readonly stores: readonly string[];
}

/** What the steps name and the namespace lacks. Each name once, sorted. */
export const missingReferences = (
  { steps }: Pick<WorkflowSpec, 'steps'>,
  exists: { readonly target: (name: string) => boolean; readonly store: (name: string) => boolean },
): MissingReferences => {
  const named = steps.flatMap((step) => [step.target?.name, ...(step.targets?.names ?? [])]);
  const targets = new Set(named.filter((name) => name !== undefined && !exists.target(name)));
  const credentials = steps.flatMap((step) => [step.credential, step.target?.credential]);
  return {
    targets: [...targets].flatMap((name) => (name === undefined ? [] : [name])).sort(),
    stores: missingStores(credentials, exists.store),
  };
};
