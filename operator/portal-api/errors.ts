import { OutriderError } from '@outrider/protocol';
import type { PortalUser } from '../identity/contract.ts';

/** Thrown when there is no such object, or the user may not know of it. */
export const notFound = (kind: string, namespace: string, name: string): OutriderError =>
  new OutriderError({
    code: 'NotFound',
    message: `Namespace ${namespace} has no ${kind} "${name}".`,
    action: `See \`kubectl -n ${namespace} get ${kind.toLowerCase()}s\`.`,
  });

export interface Access {
  readonly verb: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly namespace: string;
  readonly name?: string;
}

/** Thrown when a SubjectAccessReview says no: what kubectl refuses, the portal refuses. */
export const forbidden = (user: PortalUser, access: Access): OutriderError => {
  const resource = access.subresource ? `${access.resource}/${access.subresource}` : access.resource;
  return new OutriderError({
    code: 'Forbidden',
    message: `User "${user.username}" may not ${access.verb} ${resource} (outrider.dev) in namespace ${access.namespace}.`,
    action: `Ask an administrator of the namespace for a Role with verb "${access.verb}" on "${resource}".`,
  });
};

/** Thrown when a token for a local runner is asked for outside the operator's own namespace. */
export const localElsewhere = (namespace: string, operatorNamespace: string): OutriderError =>
  new OutriderError({
    code: 'BadRequest',
    message: `A local runner belongs to the installation itself and cannot be registered in namespace ${namespace}.`,
    action: `Ask for the token in namespace ${operatorNamespace}, or leave --local out.`,
  });

/** Thrown when a run has no step of this name. */
export const stepNotFound = (
  run: { namespace: string; name: string },
  step: string,
  steps: readonly string[],
): OutriderError =>
  new OutriderError({
    code: 'NotFound',
    message: `Run ${run.name} in namespace ${run.namespace} has no step "${step}".`,
    action:
      steps.length > 0
        ? `Name one of its steps: ${[...new Set(steps)].join(', ')}.`
        : 'It has not started yet, so its steps are not known: leave the step out.',
  });
