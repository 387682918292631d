import { OutriderError } from '@outrider/protocol';
import { group } from '@outrider/kinds';
import type { KubeClient } from '../kube/contract.ts';
import { apiVersionOf, pathOf, subjectAccessReviews } from '../kube/resources.ts';
import { BoundedMap } from './bounded-map.ts';
import type { AccessReview, PortalUser } from './contract.ts';

/** A grant or a refusal that was changed in RBAC takes effect at the portal within this time. */
const lifetimeMs = 10_000;

type Access = Parameters<AccessReview['allowed']>[1];

interface Verdict {
  readonly at: number;
  readonly allowed: Promise<boolean>;
}

const isAllowed = (answer: unknown): boolean => {
  if (typeof answer !== 'object' || answer === null || !('status' in answer)) return false;
  const { status } = answer;
  return typeof status === 'object' && status !== null && 'allowed' in status && status.allowed === true;
};

/** Asks by SubjectAccessReview, remembering verdicts for 10 s. Equal questions at the same time are asked once. */
export const createAccessReview = (options: {
  kube: Pick<KubeClient, 'request'>;
  now: () => number;
  capacity?: number;
}): AccessReview => {
  const { kube, now } = options;
  const verdicts = new BoundedMap<string, Verdict>(options.capacity ?? 10_000);

  const ask = async (user: PortalUser, access: Access): Promise<boolean> => {
    const body = {
      apiVersion: apiVersionOf(subjectAccessReviews),
      kind: subjectAccessReviews.kind,
      spec: { user: user.username, groups: user.groups, resourceAttributes: { group, ...access } },
    };
    try {
      return isAllowed(
        await kube.request({
          method: 'POST',
          path: pathOf(subjectAccessReviews),
          body,
        }),
      );
    } catch (cause) {
      throw new OutriderError(
        {
          code: 'Unavailable',
          message: `The API server did not say whether ${user.username} may ${access.verb} ${access.resource} in ${access.namespace}: ${cause instanceof Error ? cause.message : String(cause)}`,
          action: 'Try again; if this stays, check that the operator may create subjectaccessreviews.',
        },
        { cause },
      );
    }
  };

  return {
    allowed: (user, access) => {
      const { verb, resource, subresource, namespace, name } = access;
      const key = JSON.stringify([user.username, user.groups, verb, resource, subresource, namespace, name]);
      const known = verdicts.get(key);
      if (known && now() - known.at < lifetimeMs) return known.allowed;
      const allowed = ask(user, access);
      verdicts.set(key, { at: now(), allowed });
      allowed.catch(() => verdicts.delete(key));
      return allowed;
    },
  };
};
