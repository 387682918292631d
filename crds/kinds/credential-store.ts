import { Closed, Maybe, OneOf, Text, type Static } from '@outrider/schema';
import { Conditions, ObjectName, ObservedGeneration, type Resource } from './common.ts';
import { pattern, refuse } from './cel.ts';
import { ageColumn, conditionColumn, reasonColumn, type KindDefinition } from './kind.ts';

const loopback = '^http://(localhost|127[.][0-9]+[.][0-9]+[.][0-9]+|[[]::1[]])(:[0-9]+)?(/.*)?$';

const addressRules = [
  refuse({
    when: `!self.matches(${pattern('^https?://[^[:space:]/]+(/[^[:space:]]*)?$')})`,
    say: `'address "' + self + '" is not a URL; write it like https://vault.example.com:8200'`,
  }),
  refuse({
    when: `self.startsWith('http://') && !self.matches(${pattern(loopback)})`,
    say: `'address "' + self + '" would send secrets unencrypted; use https'`,
  }),
];

const vaultRules = [
  {
    rule: 'has(self.jwt) != has(self.appRole)',
    message: 'set exactly one of jwt and appRole',
  },
];

const storeRules = [
  {
    rule: `!has(self.vault.appRole) || (has(self.access) && self.access == 'Operator')`,
    message:
      'appRole needs access: Operator, as its secret_id never leaves the operator; add it, or log in with jwt',
    fieldPath: '.access',
  },
];

const MountPath = (description: string) =>
  Text({ description, minLength: 1, maxLength: 253, pattern: '^[A-Za-z0-9][A-Za-z0-9._/-]*$' });

export const CredentialStoreSpec = Closed(
  {
    access: Maybe(
      OneOf(['Runner', 'Operator'] as const, {
        description:
          'Who reads the store: the runner that executes the attempt (when absent), or the operator on its behalf.',
      }),
    ),
    vault: Closed(
      {
        address: Text({
          description: 'Base URL, such as https://vault.example.com:8200.',
          maxLength: 1024,
          minLength: 1,
          'x-kubernetes-validations': addressRules,
        }),
        caBundle: Maybe(
          Text({
            description: 'PEM certificates that its server certificate is checked against.',
            maxLength: 65_536,
          }),
        ),
        namespace: Maybe(Text({ description: 'Vault namespace.', maxLength: 253 })),
        mount: Maybe(MountPath('Mount of the KV version 2 engine; secret when absent.')),
        pathPrefix: Maybe(MountPath('Put before every name.')),
        jwt: Maybe(
          Closed(
            {
              mount: Maybe(MountPath('Mount of the jwt auth method; jwt when absent.')),
              role: Text({ description: 'Role of the jwt auth method.', minLength: 1, maxLength: 253 }),
              audience: Maybe(
                Text({
                  description: "Audience of the tokens; the store's address when absent.",
                  maxLength: 1024,
                }),
              ),
            },
            { description: 'Log in with a token that the operator signs for each attempt.' },
          ),
        ),
        appRole: Maybe(
          Closed(
            {
              mount: Maybe(MountPath('Mount of the approle auth method; approle when absent.')),
              roleId: Text({ description: 'role_id.', minLength: 1, maxLength: 253 }),
              secretRef: Closed(
                {
                  name: ObjectName(
                    'Secret of this namespace with the key secretId, labelled outrider.dev/allow: "true".',
                  ),
                },
                { description: 'Where the secret_id is.' },
              ),
            },
            { description: 'Log in with AppRole; only with access: Operator.' },
          ),
        ),
      },
      { description: 'A Vault or OpenBao server.', 'x-kubernetes-validations': vaultRules },
    ),
  },
  { description: 'Where the secrets are and how to log in.', 'x-kubernetes-validations': storeRules },
);
export type CredentialStoreSpec = Static<typeof CredentialStoreSpec>;
export const CredentialStoreStatus = Closed(
  { observedGeneration: Maybe(ObservedGeneration()), conditions: Maybe(Conditions()) },
  { description: 'What the operator found: Ready means that the spec is accepted.' },
);
export type CredentialStoreStatus = Static<typeof CredentialStoreStatus>;
export type CredentialStore = Resource<CredentialStoreSpec, CredentialStoreStatus>;

export const credentialStoreKind: KindDefinition = {
  kind: 'CredentialStore',
  plural: 'credentialstores',
  singular: 'credentialstore',
  shortNames: ['crs'],
  description:
    'A Vault or OpenBao server. Steps and targets name a secret in it as STORE:NAME, where STORE is the name of this object; it is fetched for each attempt and kept nowhere.',
  spec: CredentialStoreSpec,
  status: CredentialStoreStatus,
  columns: [
    {
      name: 'Address',
      type: 'string',
      jsonPath: '.spec.vault.address',
      description: 'Base URL of the server.',
    },
    {
      name: 'Access',
      type: 'string',
      jsonPath: '.spec.access',
      description: 'Who reads it; Runner when empty.',
    },
    conditionColumn('Ready', 'Whether the spec is accepted.'),
    { ...reasonColumn('Ready'), priority: 1 },
    ageColumn,
  ],
  selectableFields: [],
  rules: [
    {
      rule: `self.metadata.name != 'secret'`,
      message:
        'a CredentialStore cannot be called secret: secret:NAME means a Secret of the namespace; choose another name',
    },
    {
      rule: `self.metadata.name.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$') && self.metadata.name.size() <= 63`,
      message:
        'the name of a CredentialStore has letters, digits and dashes only, at most 63, as STORE:NAME refers to it',
    },
  ],
};
