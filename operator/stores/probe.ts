import http from 'node:http';
import https from 'node:https';

/** What Vault's or OpenBao's health endpoint had to say. */
export type ProbeOutcome =
  | { readonly kind: 'Answered'; readonly status: number }
  | { readonly kind: 'Untrusted'; readonly why: string }
  | { readonly kind: 'Unreachable'; readonly why: string };

/** A store that needs longer to say how it is, is not well. */
export const probeTimeoutMs = 3000;

/** OpenSSL's and Node's codes for a certificate that does not convince. */
const trustCodes = /^(CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERR_TLS_CERT|HOSTNAME_MISMATCH)/;

/** GET {address}/v1/sys/health. The status is the answer: the body is not read, redirects are not followed. Never rejects. */
export const probeStore = (store: {
  readonly address: string;
  readonly caBundle?: string | undefined;
}): Promise<ProbeOutcome> =>
  new Promise((resolve) => {
    const fail = (error: unknown): void => resolve(failure(error));
    try {
      const url = new URL(
        `${store.address.replace(/\/+$/, '')}/v1/sys/health?standbyok=true&perfstandbyok=true`,
      );
      const { request } = url.protocol === 'http:' ? http : https;
      const ca = store.caBundle === undefined ? {} : { ca: store.caBundle };
      const call = request(
        url,
        { agent: false, signal: AbortSignal.timeout(probeTimeoutMs), ...ca },
        (response) => {
          resolve({ kind: 'Answered', status: response.statusCode ?? 0 });
          response.destroy();
        },
      );
      call.on('error', fail).end();
    } catch (error) {
      fail(error);
    }
  });

const failure = (error: unknown): ProbeOutcome => {
  if (!(error instanceof Error)) return { kind: 'Unreachable', why: String(error) };
  if (error.name === 'AbortError' || error.name === 'TimeoutError')
    return { kind: 'Unreachable', why: `no answer within ${probeTimeoutMs / 1000} s` };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (trustCodes.test(code)) return { kind: 'Untrusted', why: error.message };
  return { kind: 'Unreachable', why: error.message === '' ? code : error.message };
};
