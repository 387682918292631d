import { Closed, List, Maybe, Text, type Static } from '@outrider/schema';
import { Conditions, ObservedGeneration, type Resource } from './common.ts';

export const LoginSpec = Closed({
  username: Text({ description: 'Must be the user who creates this object.', minLength: 1, maxLength: 1024 }),
  groups: Maybe(List(Text({ maxLength: 1024 }), { description: 'Must be exactly the groups of that user.', maxItems: 1000, 'x-kubernetes-list-type': 'atomic' })),
  publicKey: Text({ description: 'Ed25519 public key of the client, the x member of its JWK (RFC 8037).', minLength: 43, maxLength: 43, pattern: '^[A-Za-z0-9_-]{43}$' }),
});
export type LoginSpec = Static<typeof LoginSpec>;
export const LoginStatus = Closed({ observedGeneration: Maybe(ObservedGeneration()), conditions: Maybe(Conditions()) });
export type LoginStatus = Static<typeof LoginStatus>;
export type Login = Resource<LoginSpec, LoginStatus>;
