import { OutriderError, type ErrorCode } from '@outrider/protocol';

/** Words of RFC 6749 section 5.2, RFC 6750 section 3.1 and RFC 9449. */
export type OAuthErrorWord =
  | 'invalid_request'
  | 'invalid_client'
  | 'unsupported_grant_type'
  | 'invalid_token'
  | 'invalid_dpop_proof'
  | 'use_dpop_nonce';

/** A refusal that standard clients understand too: `details.oauthError` is the word for the OAuth answer. */
export const oauthError = (
  word: OAuthErrorWord,
  text: { message: string; action: string; code?: ErrorCode },
): OutriderError =>
  new OutriderError({
    code: text.code ?? 'Unauthenticated',
    message: text.message,
    action: text.action,
    details: { oauthError: word },
  });

/** The OAuth word of an error; undefined for every other error. */
export const oauthWord = (error: OutriderError): string | undefined =>
  typeof error.details?.['oauthError'] === 'string' ? error.details['oauthError'] : undefined;
