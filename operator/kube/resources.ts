import { group, version } from '@outrider/kinds';
import type { ResourceType } from './contract.ts';

const own = (plural: string, kind: string): ResourceType => ({ group, version, plural, kind });

export const workflows = own('workflows', 'Workflow');
export const workflowRuns = own('workflowruns', 'WorkflowRun');
export const runDecisions = own('rundecisions', 'RunDecision');
export const runners = own('runners', 'Runner');
export const targets = own('targets', 'Target');
export const credentialStores = own('credentialstores', 'CredentialStore');
export const logins = own('logins', 'Login');

export const secrets: ResourceType = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret' };
export const configMaps: ResourceType = { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap' };
export const events: ResourceType = {
  group: 'events.k8s.io',
  version: 'v1',
  plural: 'events',
  kind: 'Event',
};
export const leases: ResourceType = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
};
export const subjectAccessReviews: ResourceType = {
  group: 'authorization.k8s.io',
  version: 'v1',
  plural: 'subjectaccessreviews',
  kind: 'SubjectAccessReview',
};

/** `apiVersion` of the type's objects. */
export const apiVersionOf = (type: ResourceType): string =>
  type.group === '' ? type.version : `${type.group}/${type.version}`;

/** Path on the API server: of the collection without a name, of the object with one. */
export const pathOf = (
  type: ResourceType,
  place: { namespace?: string | undefined; name?: string; subresource?: string } = {},
): string => {
  const parts = type.group === '' ? ['api', type.version] : ['apis', type.group, type.version];
  if (place.namespace !== undefined) parts.push('namespaces', place.namespace);
  parts.push(type.plural);
  if (place.name !== undefined) parts.push(place.name);
  if (place.subresource !== undefined) parts.push(place.subresource);
  return `/${parts.map((part) => encodeURIComponent(part)).join('/')}`;
};

export const queryOf = (
  parameters: Readonly<Record<string, string | number | boolean | undefined>>,
): string => {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) query.set(name, String(value));
  }
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
};
