import type { FastifyReply, FastifyRequest } from 'fastify';
import type { AccessReview, PortalIdentity, PortalUser } from '../identity/contract.ts';
import { proofOf } from '../http/proof.ts';
import { forbidden, type Access } from './errors.ts';

export interface Guard {
  /** Who asks. @throws OutriderError Unauthenticated */
  user(request: FastifyRequest): Promise<PortalUser>;
  /** @throws OutriderError Forbidden */
  check(user: PortalUser, access: Access): Promise<void>;
  /** Both at once, as every route does. */
  require(request: FastifyRequest, access: Access): Promise<PortalUser>;
}

export const createGuard = (identity: PortalIdentity, access: AccessReview): Guard => {
  const user = (request: FastifyRequest): Promise<PortalUser> => identity.authenticate(proofOf(request));
  const check = async (who: PortalUser, wanted: Access): Promise<void> => {
    if (!(await access.allowed(who, wanted))) throw forbidden(who, wanted);
  };
  return {
    user,
    check,
    require: async (request, wanted) => {
      const who = await user(request);
      await check(who, wanted);
      return who;
    },
  };
};

/** A nonce on every answer, so that a client never has to ask twice. */
export const withNonce =
  (identity: PortalIdentity) =>
  async (_: FastifyRequest, reply: FastifyReply): Promise<void> => {
    reply.header('dpop-nonce', identity.nonce()).header('cache-control', 'no-store');
  };
