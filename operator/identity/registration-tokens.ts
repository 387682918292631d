import { createHash, randomBytes } from 'node:crypto';
import { OutriderError, formatRegistrationToken } from '@outrider/protocol';
import type { Ledger } from '../ledger/ledger.ts';
import type { RegistrationTokenRecord } from '../ledger/records.ts';

/** Belongs to runners that the operator's own installation starts. */
export const reservedTag = 'local';

const lifetimeMs = 3_600_000;
const maxLifetimeMs = 7 * 86_400_000;

/** How the ledger knows a registration token. */
export const secretHash = (secret: string): string => createHash('sha256').update(secret).digest('hex');

export interface RegistrationTokensOptions {
  readonly ledger: Pick<Ledger, 'createRegistrationToken' | 'redeemRegistrationToken' | 'audit'>;
  /** Base URL of the runner API, as runners reach it. */
  readonly url: string;
  readonly caKeyHash: () => string;
  readonly now: () => number;
}

export interface RegistrationTokenRequest {
  readonly namespace: string;
  readonly tags: readonly string[] | null;
  readonly local: boolean;
  readonly createdBy: string;
  /** One hour when absent, seven days at most. */
  readonly ttlMs?: number;
}

export const tagReserved = (subject: string): OutriderError =>
  new OutriderError({
    code: 'TagNotPermitted',
    message: `${subject} asks for the tag ${reservedTag}, which is kept for the runner of the Outrider installation itself.`,
    action: 'Leave that tag out.',
    details: { tag: reservedTag },
  });

/** Makes a token and stores only its hash. @throws OutriderError TagNotPermitted, BadRequest. */
export const createRegistrationToken = async (
  options: RegistrationTokensOptions,
  request: RegistrationTokenRequest,
): Promise<{ token: string; expiresAt: number }> => {
  const { namespace, tags, local, createdBy, ttlMs = lifetimeMs } = request;
  if (!local && tags?.includes(reservedTag)) throw tagReserved('The registration token');
  if (!(ttlMs > 0 && ttlMs <= maxLifetimeMs))
    throw new OutriderError({
      code: 'BadRequest',
      message: `A registration token cannot be valid for ${ttlMs / 1000} s.`,
      action: 'Ask for at most 168 hours; one hour is usual.',
    });
  const secret = randomBytes(32).toString('base64url');
  const now = options.now();
  const expiresAt = now + ttlMs;
  const hash = secretHash(secret);
  await options.ledger.createRegistrationToken({ hash, namespace, tags, local, createdBy, expiresAt });
  await options.ledger.audit({
    at: now,
    actor: createdBy,
    action: 'runner.token.create',
    object: `${namespace}/${hash.slice(0, 12)}`,
    details: { tags, local, expiresAt },
  });
  return {
    token: formatRegistrationToken({ url: options.url, secret, caKeyHash: options.caKeyHash() }),
    expiresAt,
  };
};

const refusals = {
  Unknown: {
    code: 'RegistrationTokenInvalid',
    message: 'The operator does not know this registration token.',
    action: 'Copy the whole token, or make a new one with `outrider runner token`.',
  },
  Expired: {
    code: 'RegistrationTokenExpired',
    message: 'The registration token has expired.',
    action: 'Make a new one with `outrider runner token` and start the runner within an hour.',
  },
  Used: {
    code: 'RegistrationTokenUsed',
    message: 'Another runner has joined with this registration token; each is good for one key.',
    action:
      'Make one token per machine with `outrider runner token`. If this machine joined before, give it back its state folder. If neither is so, the token has leaked: revoke the runner that used it.',
  },
} as const;

/** Binds the token to this key. @throws OutriderError RegistrationTokenInvalid, RegistrationTokenExpired, RegistrationTokenUsed. */
export const redeemRegistrationToken = async (
  options: RegistrationTokensOptions,
  command: { hash: string; clientId: string },
): Promise<RegistrationTokenRecord> => {
  const answer = await options.ledger.redeemRegistrationToken({ ...command, now: options.now() });
  if (answer.outcome === 'Bound' || answer.outcome === 'Repeated') return answer.token;
  throw new OutriderError(refusals[answer.outcome]);
};
