import { Closed, Maybe, OneOf, Text, type Static } from '@outrider/schema';
import { Conditions, ObjectName, ObservedGeneration, type Resource } from './common.ts';

const MountPath = (description: string) =>
  Text({ description, minLength: 1, maxLength: 253, pattern: '^[A-Za-z0-9][A-Za-z0-9._/-]*$' });

export const CredentialStoreSpec = Closed({
  access: Maybe(
    OneOf(['Runner', 'Operator'] as const, {
      description: 'Who reads the store: the runner that executes the attempt (when absent), or the operator on its behalf.',
    }),
  ),
  vault: Closed(
    {
      address: Text({ description: 'Base URL, such as https://vault.example.com:8200.', maxLength: 1024, pattern: '^https?://[^\\s]+$' }),
      caBundle: Maybe(Text({ description: 'PEM certificates that its server certificate is checked against.', maxLength: 65_536 })),
      namespace: Maybe(Text({ description: 'Vault namespace.', maxLength: 253 })),
      mount: Maybe(MountPath('Mount of the KV version 2 engine; secret when absent.')),
      pathPrefix: Maybe(MountPath('Put before every name.')),
      jwt: Maybe(
        Closed(
          {
            mount: Maybe(MountPath('Mount of the jwt auth method; jwt when absent.')),
            role: Text({ description: 'Role of the jwt auth method.', minLength: 1, maxLength: 253 }),
            audience: Maybe(Text({ description: "Audience of the tokens; the store's address when absent.", maxLength: 1024 })),
          },
          { description: 'Log in with a token that the operator signs for each attempt.' },
        ),
      ),
      appRole: Maybe(
        Closed(
          {
            mount: Maybe(MountPath('Mount of the approle auth method; approle when absent.')),
            roleId: Text({ description: 'role_id.', minLength: 1, maxLength: 253 }),
            secretRef: Closed({ name: ObjectName('Secret of this namespace with the key secretId, labelled outrider.dev/allow: "true".') }, { description: 'Where the secret_id is.' }),
          },
          { description: 'Log in with AppRole; only with access: Operator.' },
        ),
      ),
    },
    { description: 'A Vault or OpenBao server.' },
  ),
});
export type CredentialStoreSpec = Static<typeof CredentialStoreSpec>;
export const CredentialStoreStatus = Closed({ observedGeneration: Maybe(ObservedGeneration()), conditions: Maybe(Conditions()) });
export type CredentialStoreStatus = Static<typeof CredentialStoreStatus>;
export type CredentialStore = Resource<CredentialStoreSpec, CredentialStoreStatus>;
