import { randomUUID } from 'node:crypto';
import { paths, type TokenResponse } from '@outrider/protocol';
import { bodyOf, header, objectWith } from './answers.ts';
import type { HttpResponse } from './exchange.ts';
import type { LaneName, Transport } from './http.ts';
import type { RunnerKey } from './key.ts';
import { createOperatorClock } from './operator-clock.ts';
import { createProof } from './proof.ts';

/** A request that carries proof of the runner's key. */
export interface SignedRequest {
  readonly lane: LaneName;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
  readonly signal?: AbortSignal;
  readonly silenceMs?: number;
}

export interface Authorizer {
  /** POSTs with a valid access token and a DPoP proof; gets a token, a nonce or a new token where needed. */
  post(request: SignedRequest): Promise<HttpResponse>;
}

interface AccessToken {
  readonly value: string;
  readonly renewAt: number;
  readonly expiresAt: number;
}

/** Most requests that are sent again with the nonce of their answer. */
const repetitions = 4;

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** RFC 9449 section 8: the server wants the nonce that it has just sent. */
const wantsNonce = (response: HttpResponse): boolean =>
  (response.status === 401 || response.status === 400) &&
  (response.text.includes('use_dpop_nonce') ||
    (header(response, 'www-authenticate') ?? '').includes('use_dpop_nonce'));

/**
 * Access tokens by client credentials with a signed assertion (RFC 7523), bound to the key by DPoP (RFC 9449). A token is
 * renewed in the background at half its life, so that no request waits for it; a 401 renews it once.
 */
export const createAuthorizer = (options: {
  transport: Transport;
  key: RunnerKey;
  clientId: string;
  /** Milliseconds, monotonic. */
  now?: () => number;
}): Authorizer => {
  const { transport, key, clientId, now = () => performance.now() } = options;
  /** By lane: each keeps its connection, and with it its replica of the operator, whose nonces no other accepts. */
  const nonces = new Map<LaneName, string>();
  const clock = createOperatorClock();
  let token: AccessToken | undefined;
  let renewal: Promise<AccessToken> | undefined;
  let renewing = false;

  const send = async (
    request: SignedRequest,
    nonce: string | undefined,
    accessToken?: string,
  ): Promise<HttpResponse> => {
    const proof = await createProof(key, {
      method: 'POST',
      url: transport.url + request.path,
      nonce,
      accessToken,
      issuedAt: clock.seconds(),
    });
    const response = await transport.send({
      ...request,
      method: 'POST',
      headers: {
        ...request.headers,
        dpop: proof,
        ...(accessToken === undefined ? {} : { authorization: `DPoP ${accessToken}` }),
      },
    });
    const fresh = header(response, 'dpop-nonce');
    if (fresh !== undefined) nonces.set(request.lane, fresh);
    // A poll's answer was begun long ago.
    if (request.lane !== 'poll' || response.status === 401) clock.heard(header(response, 'date'));
    return response;
  };

  /** A repetition may reach another replica yet. A server that keeps asking for nonces is answered with the failure it gave. */
  const sendWithNonce = async (request: SignedRequest, accessToken?: string): Promise<HttpResponse> => {
    let response = await send(request, nonces.get(request.lane), accessToken);
    for (let repeated = 0; repeated < repetitions && wantsNonce(response); repeated += 1)
      response = await send(request, header(response, 'dpop-nonce'), accessToken);
    return response;
  };

  const assertion = (): Promise<string> => {
    const seconds = clock.seconds();
    return key.sign({
      iss: clientId,
      sub: clientId,
      aud: transport.url + paths.token,
      jti: randomUUID(),
      iat: seconds,
      exp: seconds + 60,
    });
  };

  const fetchToken = async (lane: LaneName): Promise<AccessToken> => {
    const form = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: clientId,
      client_assertion_type: assertionType,
      client_assertion: await assertion(),
    });
    const asked = now();
    const response = await sendWithNonce({
      lane,
      path: paths.token,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: form.toString(),
    });
    const answer = objectWith<TokenResponse>(bodyOf(response), { access_token: 'string' });
    const life = answer.expires_in * 1000;
    return { value: answer.access_token, renewAt: asked + life / 2, expiresAt: asked + life - 5000 };
  };

  const renew = (): Promise<AccessToken> => {
    renewal ??= fetchToken('control')
      .then((fresh) => (token = fresh))
      .finally(() => {
        renewal = undefined;
      });
    return renewal;
  };

  /**
   * Between two polls, over their connection: it is open anyway, while any other would be opened for this and kept for a
   * minute, by every runner that has nothing to do.
   */
  const renewBetweenPolls = (): void => {
    if (renewing) return;
    renewing = true;
    fetchToken('poll')
      .then((fresh) => (token = fresh))
      // Tried again by the next request.
      .catch(() => undefined)
      .finally(() => {
        renewing = false;
      });
  };

  const current = async (): Promise<AccessToken> => {
    if (token === undefined || now() >= token.expiresAt) return renew();
    if (now() >= token.renewAt) renewBetweenPolls();
    return token;
  };

  return {
    post: async (request) => {
      const used = await current();
      const response = await sendWithNonce(request, used.value);
      if (response.status !== 401) return response;
      // Another request may have renewed it meanwhile.
      const fresh = token === undefined || token.value === used.value ? await renew() : token;
      return sendWithNonce(request, fresh.value);
    },
  };
};
