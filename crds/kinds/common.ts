import { Closed, Integer, List, Maybe, OneOf, StringMap, Text } from '@outrider/schema';
import { durationPattern, durationRules, pattern, refuse } from './cel.ts';

export { durationPattern };

export const group = 'outrider.dev';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}`;

/**
 * A duration whose rules stand where it is used (`durationRules`): a pattern here would hide their message, because the
 * API server skips rules when a pattern fails. That holds for every text below that has a rule.
 */
export const DurationText = (description: string) => Text({ description, minLength: 1, maxLength: 20 });

/** A duration that is checked by itself. */
export const Duration = (field: string, description: string) =>
  Text({
    description,
    minLength: 1,
    maxLength: 20,
    'x-kubernetes-validations': durationRules({ field, value: 'self' }),
  });

export const objectNamePattern = '^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$';
export const ObjectName = (description: string) =>
  Text({ description, minLength: 1, maxLength: 253, pattern: objectNamePattern });

/** A step's or parameter's name. */
export const IdentifierName = (description: string) =>
  Text({ description, minLength: 1, maxLength: 63, pattern: '^[A-Za-z]([A-Za-z0-9_-]*[A-Za-z0-9])?$' });

export const tagPattern = '^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$';
const Tag = () =>
  Text({
    description: 'A tag, such as production or us-east-1.',
    minLength: 1,
    maxLength: 63,
    'x-kubernetes-validations': [
      refuse({
        when: `!self.matches(${pattern(tagPattern)})`,
        say: `'tag "' + self + '" is not a tag: letters, digits and . _ - / inside, no space; write it like us-east-1'`,
      }),
    ],
  });
export const Tags = (description: string) =>
  List(Tag(), { description, maxItems: 32, 'x-kubernetes-list-type': 'set' });

/** Tags that work asks for. `local` is none of them: it would be dropped, and the step would run anywhere. */
export const RequiredTags = (description: string) =>
  List(Tag(), {
    description,
    maxItems: 32,
    'x-kubernetes-list-type': 'set',
    'x-kubernetes-validations': [
      {
        rule: `!('local' in self)`,
        message:
          'the tag local belongs to the runner of the Outrider installation; a step asks for it by runner: {local: true}',
        reason: 'FieldValueForbidden',
      },
    ],
  });

export const credentialPattern = '^[a-z0-9]([a-z0-9-]*[a-z0-9])?:[A-Za-z0-9][A-Za-z0-9._/-]*$';
export const CredentialReference = (description: string) =>
  Text({
    description,
    minLength: 1,
    maxLength: 512,
    'x-kubernetes-validations': [
      refuse({
        when: `!self.matches(${pattern(credentialPattern)}) || self.matches(${pattern('/([.]{0,2})(/|$)')})`,
        say: `'credential "' + self + '" is not STORE:NAME; write it like vault:prod-server-ssh-key or secret:prod-server'`,
      }),
      refuse({
        when: `self.startsWith('secret:') && !self.matches(${pattern('^secret:[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')})`,
        say: `'credential "' + self + '" names no Secret: after secret: stands the name of a Secret of this namespace'`,
      }),
    ],
  });

const hostPattern =
  '^([A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9._-]+)?)$';
export const HostName = (description: string) =>
  Text({
    description,
    minLength: 1,
    maxLength: 253,
    'x-kubernetes-validations': [
      refuse({
        when: `!self.matches(${pattern(hostPattern)})`,
        say: `'host "' + self + '" is not a host name or address; a port goes under port, a user under user'`,
      }),
    ],
  });

export const HostKey = (description: string) =>
  Text({
    description,
    minLength: 1,
    maxLength: 16_384,
    'x-kubernetes-validations': [
      {
        rule: `self.startsWith('SHA256:') || self.contains(' ')`,
        message:
          'hostKey is neither a SHA256:… fingerprint nor known_hosts lines; ssh-keyscan prints such lines',
      },
    ],
  });

/** A word that reaches a program as a value: no space, and no leading dash that could make it an option. */
export const Word = (description: string, maxLength: number) =>
  Text({ description, minLength: 1, maxLength, pattern: '^[^\\s-][^\\s]*$' });

export const NamespaceName = (description: string) =>
  Text({ description, minLength: 1, maxLength: 63, pattern: '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$' });

/** Which run's steps are offered to runners first. */
export const Priority = (what: string) =>
  Integer({
    description: `${what}, from -1000 to 1000: where runners are short, steps of higher ones go first. 0 when absent.`,
    minimum: -1000,
    maximum: 1000,
    format: 'int32',
  });

/** metav1.Condition. */
export const Condition = Closed(
  {
    type: Text({ description: 'Name of the condition, CamelCase.', maxLength: 316 }),
    status: OneOf(['True', 'False', 'Unknown'] as const, { description: 'Whether it holds.' }),
    reason: Text({ description: 'Stable CamelCase word for why.', maxLength: 1024, minLength: 1 }),
    message: Text({ description: 'For people: what happened, and what to do next.', maxLength: 32_768 }),
    lastTransitionTime: Text({
      description: 'When the status last changed.',
      maxLength: 32,
      format: 'date-time',
    }),
    observedGeneration: Maybe(
      Integer({
        description: 'metadata.generation that it speaks of.',
        minimum: 0,
        maximum: 9_007_199_254_740_991,
        format: 'int64',
      }),
    ),
  },
  { description: 'One observation of the state.' },
);

export const Conditions = () =>
  List(Condition, {
    description: 'Latest observations of the state.',
    maxItems: 16,
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['type'],
  });

export const ObservedGeneration = () =>
  Integer({
    description: 'metadata.generation that this status speaks of.',
    minimum: 0,
    maximum: 9_007_199_254_740_991,
    format: 'int64',
  });

export const Instant = (description: string) => Text({ description, maxLength: 32, format: 'date-time' });

export const Environment = (description: string) =>
  StringMap({
    description,
    maxProperties: 100,
    maxLength: 8192,
    'x-kubernetes-validations': [
      refuse({
        when: `!self.all(name, name.matches(${pattern('^[A-Za-z_][A-Za-z0-9_]{0,255}$')}))`,
        say: `'"' + self.map(name, !name.matches(${pattern('^[A-Za-z_][A-Za-z0-9_]{0,255}$')}), name)[0] + '" is not an environment name: letters, digits and _ only, and no digit first; rename it'`,
      }),
      refuse({
        when: `self.exists(name, name.startsWith('OUTRIDER_'))`,
        say: `'"' + self.map(name, name.startsWith('OUTRIDER_'), name)[0] + '" cannot be set: names that start with OUTRIDER_ are set by Outrider; rename it'`,
      }),
    ],
  });

/** Kubernetes object as a typed value. */
export interface Resource<Spec, Status> {
  readonly apiVersion: typeof apiVersion;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly generation: number;
    readonly creationTimestamp: string;
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Spec;
  readonly status?: Status;
}
