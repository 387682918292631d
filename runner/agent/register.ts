import { createHash } from 'node:crypto';
import {
  parseRegistrationToken,
  paths,
  type RegisterRequest,
  type RegisterResponse,
  type RegistrationToken,
} from '@outrider/protocol';
import { bodyOf, objectWith } from './answers.ts';
import { fetchCa, loadCa, storeCa } from './ca.ts';
import type { ProxySettings } from './exchange.ts';
import { createTransport, type Transport } from './http.ts';
import { createKey, loadKey, type RunnerKey } from './key.ts';
import { problemFields, type Logger } from './log.ts';
import { asOutriderError, classify, retryAfter } from './persist.ts';
import { storeRegistration, type Registration } from './registration.ts';
import { version } from './version.ts';
import { createBackoff, sleep } from './waits.ts';

export interface RegisterOptions {
  /** As printed by `outrider runner token`. */
  readonly token: string;
  /** Overrides the URL in the token. */
  readonly url?: string;
  readonly name: string;
  readonly tags?: readonly string[];
  readonly stateDir: string;
  readonly caFile?: string;
  readonly proxy: ProxySettings;
  /** Make another key although there is one. */
  readonly newKey?: boolean;
  readonly logger: Logger;
  readonly stop: AbortSignal;
  /** How long an operator that does not answer is asked again. @default 120_000 */
  readonly patienceMs?: number;
}

const callRegister = async (
  transport: Transport,
  key: RunnerKey,
  options: { token: RegistrationToken; name: string; tags?: readonly string[] },
): Promise<RegisterResponse> => {
  const { token, name, tags } = options;
  const body: RegisterRequest = {
    secret: token.secret,
    name,
    ...(tags === undefined ? {} : { tags: [...tags] }),
    publicKey: key.publicJwk,
    proof: await key.sign({
      jti: createHash('sha256').update(token.secret).digest('hex'),
      aud: 'outrider-register',
      iat: Math.floor(Date.now() / 1000),
    }),
    version,
  };
  const response = await transport.send({
    lane: 'control',
    method: 'POST',
    path: paths.register,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return objectWith<RegisterResponse>(bodyOf(response), {
    namespace: 'string',
    name: 'string',
    uid: 'string',
    clientId: 'string',
    tags: 'list',
  });
};

/** Repeats until answered: the token is bound to the key, so a lost answer is given again. */
const insist = async <T>(options: RegisterOptions, call: () => Promise<T>): Promise<T> => {
  const { patienceMs = 120_000, stop, logger } = options;
  const deadline = performance.now() + patienceMs;
  const backoff = createBackoff();
  for (;;) {
    try {
      return await call();
    } catch (thrown) {
      const error = asOutriderError(thrown);
      const hopeless =
        classify(error) !== 'Retry' ||
        error.code === 'CertificateMismatch' ||
        error.code === 'Unauthenticated';
      if (hopeless || error.code.startsWith('Registration') || performance.now() > deadline || stop.aborted)
        throw error;
      logger.warn('registration is tried again', problemFields(error));
      await sleep(Math.max(backoff.next(), retryAfter(error)), stop);
    }
  }
};

/**
 * Joins: the key is on disk before anybody hears of it, the CA is the one that the token pins, and everything after that is
 * verified. @throws OutriderError with a code of joining, CertificateMismatch, OperatorUnreachable
 */
export const register = async (options: RegisterOptions): Promise<Registration> => {
  const { stateDir, caFile, proxy, name, tags, logger } = options;
  const token = parseRegistrationToken(options.token);
  const url = (options.url ?? token.url).replace(/\/+$/, '');
  const existing = options.newKey === true ? undefined : await loadKey(stateDir);
  const key = existing ?? (await createKey(stateDir));
  if (caFile === undefined) {
    await storeCa(stateDir, await insist(options, () => fetchCa({ url, caKeyHash: token.caKeyHash, proxy })));
  }
  const ca = await loadCa({ stateDir, ...(caFile === undefined ? {} : { caFile }) });
  const transport = createTransport({ url, proxy, ...(ca === undefined ? {} : { ca }) });
  try {
    const request = { token, name, ...(tags === undefined ? {} : { tags }) };
    const answer = await insist(options, () => callRegister(transport, key, request));
    const registration: Registration = { ...answer, url };
    await storeRegistration(stateDir, registration);
    logger.info('registered', {
      namespace: answer.namespace,
      name: answer.name,
      tags: answer.tags.join(','),
    });
    return registration;
  } finally {
    await transport.close();
  }
};
