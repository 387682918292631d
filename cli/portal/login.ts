import { randomUUID } from 'node:crypto';
import { portalPaths } from '@outrider/portal';
import { apiVersion, type Login } from '@outrider/kinds';
import { CliError } from '../errors.ts';
import { jsonObject, readText } from '../http.ts';
import type { KubeClient } from '../kube/client.ts';
import { resourcePath } from '../kube/paths.ts';
import { createJwk, importJwk, type PrivateJwk } from './key.ts';
import { portalFailure } from './failure.ts';
import type { ProvenHttp } from './proof.ts';
import type { Session } from './token-cache.ts';

export interface LoginOptions {
  readonly kube: Pick<KubeClient, 'request' | 'whoAmI'>;
  readonly http: ProvenHttp;
  /** Where everybody may create a Login. */
  readonly operatorNamespace: string;
  /** Namespace in use: tried when the operator's own does not permit it. */
  readonly namespace: string;
  readonly now: () => number;
}

const refused = (refusal: CliError): CliError =>
  new CliError(
    {
      code: refusal.code,
      message: `Logging in was refused: ${refusal.message}`,
      action:
        'Outrider gives everybody the Role outrider-login: check that it is installed (--outrider-namespace) and that its RoleBinding names you.',
    },
    { cause: refusal },
  );

/** The next namespace is tried only when the API server says that this one is not there or not permitted. */
const refusalOf = (error: unknown): CliError => {
  if (error instanceof CliError && ['Forbidden', 'NotFound'].includes(error.code)) return error;
  throw error;
};

const createLogin = async (options: LoginOptions, publicKey: string): Promise<Login> => {
  const { username, groups } = await options.kube.whoAmI();
  const body = {
    apiVersion,
    kind: 'Login',
    metadata: { generateName: 'login-' },
    // The policy compares: the same groups in the same order, and none where there are none.
    spec: { username, ...(groups.length === 0 ? {} : { groups }), publicKey },
  };
  const create = (namespace: string): Promise<Login> => {
    const path = `${resourcePath(namespace, 'logins')}?fieldValidation=Strict`;
    return options.kube.request<Login>({ method: 'POST', path, body });
  };
  const { operatorNamespace, namespace } = options;
  try {
    return await create(operatorNamespace);
  } catch (error) {
    const refusal = refusalOf(error);
    if (namespace === operatorNamespace) throw refused(refusal);
    return create(namespace).catch((second: unknown) => {
      refusalOf(second);
      throw refused(refusal);
    });
  }
};

/** RFC 7523: the same key signs the assertion and the proof. */
const assertion = async (
  jwk: PrivateJwk,
  tokenUrl: string,
  now: number,
): Promise<{ id: string; jws: string }> => {
  const { calculateJwkThumbprint, SignJWT } = await import('jose');
  const { privateKey } = await importJwk(jwk);
  const { d: _, ...publicJwk } = jwk;
  const id = await calculateJwkThumbprint(publicJwk);
  const seconds = Math.floor(now / 1000);
  const claims = { iss: id, sub: id, aud: tokenUrl, jti: randomUUID(), iat: seconds, exp: seconds + 60 };
  return { id, jws: await new SignJWT(claims).setProtectedHeader({ alg: 'EdDSA' }).sign(privateKey) };
};

/**
 * Login by resource: whoever the API server lets create a Login with a public key is whom it names; the portal gives the
 * holder of that key a token of an hour. The cluster's own credential never reaches the portal.
 */
export const logIn = async (options: LoginOptions): Promise<Session> => {
  const key = await createJwk();
  const { metadata } = await createLogin(options, key.x);
  const asked = options.now();
  const { id, jws } = await assertion(key, options.http.url + portalPaths.token, asked);
  const form = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: id,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: jws,
    login_namespace: metadata.namespace,
    login_name: metadata.name,
  });
  const answer = await options.http.send(
    {
      method: 'POST',
      path: portalPaths.token,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: form.toString(),
    },
    { keys: await importJwk(key) },
  );
  const text = await readText(answer);
  const { access_token: accessToken, expires_in: seconds } = jsonObject(text);
  if (answer.status !== 200 || typeof accessToken !== 'string' || typeof seconds !== 'number')
    throw portalFailure(answer.status, text);
  return { accessToken, key, expiresAt: asked + seconds * 1000 };
};
