import { Closed, Integer, Maybe, OneOf, type Static } from '@outrider/schema';
import {
  Conditions,
  CredentialReference,
  HostKey,
  HostName,
  NamespaceName,
  ObservedGeneration,
  RequiredTags,
  Word,
  type Resource,
} from './common.ts';
import { hostKeyPolicies, hostKeyPolicyText } from './host-key-policy.ts';
import { ageColumn, conditionColumn, reasonColumn, type KindDefinition } from './kind.ts';

/** Fields by the type that they belong to; `namespace` is reserved in CEL. */
const fieldsOf = {
  SSH: ['host', 'port', 'user', 'hostKey', 'hostKeyPolicy'],
  Kubernetes: ['context', 'namespace'],
} as const;
const cel = (field: string): string => (field === 'namespace' ? '__namespace__' : field);

const foreign = (type: keyof typeof fieldsOf, other: keyof typeof fieldsOf) =>
  fieldsOf[other].map((field) => ({
    rule: `self.type != '${type}' || !has(self.${cel(field)})`,
    message: `${field} is for type ${other}; remove it, or set type: ${other}`,
    fieldPath: `.${field}`,
    reason: 'FieldValueForbidden' as const,
  }));

export const TargetSpec = Closed(
  {
    type: OneOf(['SSH', 'Kubernetes'] as const, { description: 'Kind of system.' }),
    host: Maybe(HostName('SSH: host name or address.')),
    port: Maybe(
      Integer({
        description: 'SSH: TCP port; 22 when absent.',
        minimum: 1,
        maximum: 65_535,
        format: 'int32',
      }),
    ),
    user: Maybe(Word("SSH: user; the credential's username when absent.", 253)),
    hostKey: Maybe(
      HostKey(
        "SSH: pinned host key, a SHA256:… fingerprint or known_hosts lines; the runner's known_hosts when absent.",
      ),
    ),
    hostKeyPolicy: Maybe(OneOf(hostKeyPolicies, { description: `SSH: ${hostKeyPolicyText}` })),
    context: Maybe(
      Word("Kubernetes: context of the credential's kubeconfig; its current one when absent.", 253),
    ),
    namespace: Maybe(NamespaceName('Kubernetes: namespace that kubectl acts in.')),
    credential: Maybe(CredentialReference('STORE:NAME, used by steps that name none.')),
    maxParallel: Maybe(
      Integer({
        description:
          'How many attempts may act on it at a time, over all runs; further ones wait. No limit when absent.',
        minimum: 1,
        maximum: 1000,
        format: 'int32',
      }),
    ),
    runner: Maybe(
      Closed(
        { tags: Maybe(RequiredTags('Tags that a runner must have to act on it.')) },
        { description: 'Which runners reach it.' },
      ),
    ),
  },
  {
    description: 'How to reach one system.',
    'x-kubernetes-validations': [
      {
        rule: `self.type != 'SSH' || has(self.host)`,
        message: 'a Target of type SSH needs host; add the name or address of the server',
        fieldPath: '.host',
        reason: 'FieldValueRequired',
      },
      ...foreign('SSH', 'Kubernetes'),
      ...foreign('Kubernetes', 'SSH'),
    ],
  },
);
export type TargetSpec = Static<typeof TargetSpec>;
export const TargetStatus = Closed(
  { observedGeneration: Maybe(ObservedGeneration()), conditions: Maybe(Conditions()) },
  { description: 'What the operator found: Ready means that the spec is accepted.' },
);
export type TargetStatus = Static<typeof TargetStatus>;
export type Target = Resource<TargetSpec, TargetStatus>;

export const targetKind: KindDefinition = {
  kind: 'Target',
  plural: 'targets',
  singular: 'target',
  shortNames: ['tgt'],
  description: 'A system that steps act on, by name: an SSH server or a Kubernetes cluster.',
  spec: TargetSpec,
  status: TargetStatus,
  columns: [
    { name: 'Type', type: 'string', jsonPath: '.spec.type', description: 'Kind of system.' },
    { name: 'Host', type: 'string', jsonPath: '.spec.host', description: 'Host name or address, for SSH.' },
    { name: 'Context', type: 'string', jsonPath: '.spec.context', description: 'Context, for Kubernetes.' },
    conditionColumn('Ready', 'Whether the spec is accepted.'),
    { ...reasonColumn('Ready'), priority: 1 },
    ageColumn,
  ],
  selectableFields: ['.spec.type', '.spec.host'],
  rules: [],
};
