import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { OutriderError } from '@outrider/protocol';
import type { ProofContext } from '../identity/contract.ts';

const single = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value[0] : value;

/** Path of a request without its query. */
export const pathOf = (request: FastifyRequest): string => request.url.split('?')[0] ?? '';

/** What a request shows of itself, its URL as the client wrote it. */
export const proofOf = (request: FastifyRequest): ProofContext => ({
  method: request.method,
  url: `https://${request.host}${pathOf(request)}`,
  authorization: request.headers.authorization,
  dpop: single(request.headers['dpop']),
});

const covers = (certificate: X509Certificate, name: string): boolean => {
  const bare = name.replace(/^\[(.*)\]$/, '$1');
  return (isIP(bare) ? certificate.checkIP(bare) : certificate.checkHost(bare)) !== undefined;
};

/**
 * Proofs and assertions name the URL that the client used, so the Host header must be a name of our own: otherwise what was
 * signed for another server could be shown here together with that server's name.
 */
export const createHostCheck = (certificate: () => string): ((request: FastifyRequest) => void) => {
  let pem = '';
  let parsed: X509Certificate | undefined;
  let accepted = new Set<string>();
  return (request) => {
    const current = certificate();
    if (parsed === undefined || pem !== current) {
      parsed = new X509Certificate(current);
      pem = current;
      accepted = new Set();
    }
    const { hostname } = request;
    if (accepted.has(hostname)) return;
    if (!covers(parsed, hostname))
      throw new OutriderError({
        code: 'BadRequest',
        message: `The request is for the host ${hostname}, which is not a name in the certificate of this operator.`,
        action: 'Use a URL whose host is among the names of the runner API.',
      });
    if (accepted.size < 100) accepted.add(hostname);
  };
};
