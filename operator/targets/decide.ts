import type { Target, TargetStatus } from '@outrider/kinds';
import { conditionsFrom, type Verdict } from '../kube/conditions.ts';

export interface TargetFacts {
  readonly target: Target;
  /** The store that its credential names and that does not exist. */
  readonly missingStore: string | undefined;
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
}

/** The status that the target should have. Ready means that the spec is accepted. */
export const decideTarget = ({ target, missingStore, now }: TargetFacts): TargetStatus => {
  const { generation, namespace } = target.metadata;
  return {
    observedGeneration: generation,
    conditions: conditionsFrom(
      [ready, referencesResolved(missingStore, namespace)],
      target.status?.conditions,
      { now, generation },
    ),
  };
};

const ready: Verdict = {
  type: 'Ready',
  status: 'True',
  reason: 'Accepted',
  message: 'The spec is accepted.',
};

const referencesResolved = (missingStore: string | undefined, namespace: string): Verdict =>
  missingStore === undefined
    ? {
        type: 'ReferencesResolved',
        status: 'True',
        reason: 'Resolved',
        message: 'Every CredentialStore that it names exists.',
      }
    : {
        type: 'ReferencesResolved',
        status: 'False',
        reason: 'StoreNotFound',
        message: `Namespace ${namespace} has no CredentialStore ${missingStore}. Create it or correct spec.credential; steps on this target fail until then, unless they name a credential of their own.`,
      };
