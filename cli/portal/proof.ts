import { generateProof } from 'dpop';
import { headerOf, type HttpAnswer, type HttpClient, type HttpRequest } from '../http.ts';
import type { KeyPair } from './key.ts';

/** Requests with a DPoP proof (RFC 9449) of a key, and the access token that is bound to it. */
export interface ProvenHttp {
  readonly url: string;
  send(
    request: HttpRequest,
    proof: { readonly keys: KeyPair; readonly accessToken?: string },
  ): Promise<HttpAnswer>;
}

/** RFC 9449 section 8: the server wants the nonce that it has just sent. */
const wantsNonce = (answer: HttpAnswer): boolean =>
  (answer.status === 400 || answer.status === 401) && headerOf(answer, 'dpop-nonce') !== undefined;

export const withProofs = (http: HttpClient): ProvenHttp => {
  let nonce: string | undefined;

  const send: ProvenHttp['send'] = async (request, { keys, accessToken }) => {
    const url = http.url + (request.path.split('?')[0] ?? '');
    const proof = await generateProof(keys, url, request.method, nonce, accessToken);
    const answer = await http.send({
      ...request,
      headers: {
        ...request.headers,
        dpop: proof,
        ...(accessToken === undefined ? {} : { authorization: `DPoP ${accessToken}` }),
      },
    });
    nonce = headerOf(answer, 'dpop-nonce') ?? nonce;
    return answer;
  };

  return {
    url: http.url,
    /** At most one repetition, and only where the nonce was missing or old: other refusals stand. */
    send: async (request, proof) => {
      const used = nonce;
      const answer = await send(request, proof);
      if (!wantsNonce(answer) || nonce === used) return answer;
      for await (const _ of answer.body);
      return send(request, proof);
    },
  };
};
