import { Closed, Integer, Maybe, OneOf, Text, type Static } from '@outrider/schema';
import { Conditions, CredentialReference, ObservedGeneration, Tags, type Resource } from './common.ts';

export const TargetSpec = Closed({
  type: OneOf(['SSH', 'Kubernetes'] as const, { description: 'Kind of system.' }),
  host: Maybe(Text({ description: 'SSH: host name or address.', minLength: 1, maxLength: 253 })),
  port: Maybe(Integer({ description: 'SSH: TCP port; 22 when absent.', minimum: 1, maximum: 65_535, format: 'int32' })),
  user: Maybe(Text({ description: "SSH: user; the credential's username when absent.", minLength: 1, maxLength: 253 })),
  hostKey: Maybe(Text({ description: 'SSH: pinned host key, a SHA256:… fingerprint or known_hosts lines.', minLength: 1, maxLength: 16_384 })),
  context: Maybe(Text({ description: "Kubernetes: context of the credential's kubeconfig; its current one when absent.", minLength: 1, maxLength: 253 })),
  namespace: Maybe(Text({ description: 'Kubernetes: namespace when the step names none.', minLength: 1, maxLength: 63 })),
  credential: Maybe(CredentialReference('STORE:NAME, used by steps that name none.')),
  runner: Maybe(Closed({ tags: Maybe(Tags('Tags that a runner must have to act on it.')) }, { description: 'Which runners reach it.' })),
});
export type TargetSpec = Static<typeof TargetSpec>;
export const TargetStatus = Closed({ observedGeneration: Maybe(ObservedGeneration()), conditions: Maybe(Conditions()) });
export type TargetStatus = Static<typeof TargetStatus>;
export type Target = Resource<TargetSpec, TargetStatus>;
