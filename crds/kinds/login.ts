import { Closed, List, Maybe, Text, type Static } from '@outrider/schema';
import { Conditions, ObservedGeneration, type Resource } from './common.ts';
import { ageColumn, conditionColumn, type KindDefinition } from './kind.ts';

export const LoginSpec = Closed(
  {
    username: Text({
      description: 'Must be the user who creates this object.',
      minLength: 1,
      maxLength: 1024,
    }),
    groups: Maybe(
      List(Text({ description: 'Name of a group.', maxLength: 1024 }), {
        description: 'Must be exactly the groups of that user.',
        maxItems: 1000,
        'x-kubernetes-list-type': 'atomic',
      }),
    ),
    publicKey: Text({
      description: 'Ed25519 public key of the client, the x member of its JWK (RFC 8037).',
      minLength: 43,
      maxLength: 43,
      pattern: '^[A-Za-z0-9_-]{43}$',
    }),
  },
  {
    description: 'Whose login it is, and for which key. It never changes.',
    'x-kubernetes-validations': [
      {
        rule: 'self == oldSelf',
        message: 'a Login cannot be changed; log in again, which creates another one',
        reason: 'FieldValueForbidden',
      },
    ],
  },
);
export type LoginSpec = Static<typeof LoginSpec>;
export const LoginStatus = Closed(
  { observedGeneration: Maybe(ObservedGeneration()), conditions: Maybe(Conditions()) },
  { description: 'What the operator made of it.' },
);
export type LoginStatus = Static<typeof LoginStatus>;
export type Login = Resource<LoginSpec, LoginStatus>;

export const loginKind: KindDefinition = {
  kind: 'Login',
  plural: 'logins',
  singular: 'login',
  shortNames: [],
  description:
    'Proof that the owner of a key is a user of this cluster. The command line creates it, and the operator deletes it soon after; nobody writes one by hand.',
  spec: LoginSpec,
  status: LoginStatus,
  columns: [
    { name: 'User', type: 'string', jsonPath: '.spec.username', description: 'Who logs in.' },
    conditionColumn('Ready', 'Whether the operator took it.'),
    ageColumn,
  ],
  selectableFields: ['.spec.username'],
  rules: [],
};
