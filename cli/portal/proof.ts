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

/** Most requests that are sent again with the nonce of their answer: each may reach another replica of the portal. */
const repetitions = 4;

type Proof = Parameters<ProvenHttp['send']>[1];

export const withProofs = (http: HttpClient): ProvenHttp => {
  let newest: string | undefined;

  const send = async (request: HttpRequest, { keys, accessToken }: Proof, nonce: string | undefined) => {
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
    newest = headerOf(answer, 'dpop-nonce') ?? newest;
    return answer;
  };

  return {
    url: http.url,
    /** Repeated only where the nonce was missing, old or another replica's: other refusals stand. */
    send: async (request, proof) => {
      let used = newest;
      let answer = await send(request, proof, used);
      for (let repeated = 0; repeated < repetitions; repeated += 1) {
        const asked = headerOf(answer, 'dpop-nonce');
        if (!wantsNonce(answer) || asked === used) break;
        for await (const _ of answer.body);
        used = asked;
        answer = await send(request, proof, used);
      }
      return answer;
    },
  };
};
