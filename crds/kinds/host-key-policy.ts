export const hostKeyPolicies = ['Strict', 'AcceptNew'] as const;
export type HostKeyPolicy = (typeof hostKeyPolicies)[number];

export const hostKeyPolicyText =
  'Strict refuses a server whose host key is not known. AcceptNew trusts the key that it shows first, keeps it for the whole namespace and refuses another one from then on. A pinned key goes before both. Strict when absent.';
