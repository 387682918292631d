import { Closed, Integer, List, Maybe, OneOf, StringMap, Text } from '@outrider/schema';

export const group = 'outrider.dev';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}`;

/** `90s`, `1h30m`: one or more numbers with a unit. */
export const durationPattern = '^([0-9]+(ms|s|m|h))+$';
export const Duration = (description: string) => Text({ description, maxLength: 32, pattern: durationPattern });

export const objectNamePattern = '^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$';
export const ObjectName = (description: string) =>
  Text({ description, minLength: 1, maxLength: 253, pattern: objectNamePattern });

/** A step's or parameter's name. */
export const IdentifierName = (description: string) =>
  Text({ description, minLength: 1, maxLength: 63, pattern: '^[A-Za-z]([A-Za-z0-9_-]*[A-Za-z0-9])?$' });

export const tagPattern = '^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$';
export const Tags = (description: string) =>
  List(Text({ maxLength: 63, minLength: 1, pattern: tagPattern }), {
    description,
    maxItems: 32,
    'x-kubernetes-list-type': 'set',
  });

export const credentialPattern = '^[a-z0-9]([a-z0-9-]*[a-z0-9])?:[A-Za-z0-9][A-Za-z0-9._/-]*$';
export const CredentialReference = (description: string) =>
  Text({ description, maxLength: 512, pattern: credentialPattern });

/** metav1.Condition. */
export const Condition = Closed({
  type: Text({ description: 'Name of the condition, CamelCase.', maxLength: 316 }),
  status: OneOf(['True', 'False', 'Unknown'] as const, { description: 'Whether it holds.' }),
  reason: Text({ description: 'Stable CamelCase word for why.', maxLength: 1024, minLength: 1 }),
  message: Text({ description: 'For people: what happened, and what to do next.', maxLength: 32_768 }),
  lastTransitionTime: Text({ description: 'When the status last changed.', maxLength: 32, format: 'date-time' }),
  observedGeneration: Maybe(
    Integer({ description: 'metadata.generation that it speaks of.', minimum: 0, maximum: 9_007_199_254_740_991, format: 'int64' }),
  ),
});

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
  StringMap({ description, maxProperties: 100, maxLength: 8192 });

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
