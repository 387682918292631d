import { createHttp, readText, type HttpAnswer, type HttpRequest } from '../http.ts';
import type { KubeClient } from '../kube/client.ts';
import { importJwk, type KeyPair } from './key.ts';
import { portalFailure } from './failure.ts';
import { logIn } from './login.ts';
import type { PortalLocation } from './locate.ts';
import { Remembered } from '../remembered.ts';
import { withProofs } from './proof.ts';
import type { Session, TokenCache } from './token-cache.ts';

/** The portal's REST API as the user of the kubeconfig. */
export interface Portal {
  readonly url: string;
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body: unknown): Promise<T>;
  /** An answer to be read as it comes; its status is 200. @throws CliError with the portal's code and words. */
  open(
    path: string,
    options?: { readonly signal?: AbortSignal; readonly silenceMs?: number },
  ): Promise<HttpAnswer>;
  close(): Promise<void>;
}

export interface PortalOptions {
  readonly location: PortalLocation;
  readonly kube: Pick<KubeClient, 'request' | 'whoAmI'>;
  readonly cache: TokenCache;
  readonly operatorNamespace: string;
  /** Namespace in use. */
  readonly namespace: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly userAgent: string;
  readonly now: () => number;
}

/** A token that ends sooner than this is not begun with. */
const marginMs = 30_000;

interface Access {
  readonly session: Session;
  readonly keys: KeyPair;
}

export const createPortal = (options: PortalOptions): Portal => {
  const { location, cache, now } = options;
  const http = createHttp({
    url: location.url,
    name: 'the portal',
    env: options.env,
    certificateAction:
      'Give the certificate of its CA with --portal-ca-file or OUTRIDER_CA_FILE, or leave --portal out: the cluster knows both.',
    ...(location.ca === undefined ? {} : { ca: location.ca }),
  });
  const proven = withProofs(http);

  const begin = async (): Promise<Access> => {
    const session = await logIn({
      kube: options.kube,
      http: proven,
      operatorNamespace: options.operatorNamespace,
      namespace: options.namespace,
      now,
    });
    await cache.write(session);
    return { session, keys: await importJwk(session.key) };
  };

  const resume = async (): Promise<Access> => {
    const session = await cache.read();
    if (!session || session.expiresAt - now() < marginMs) return begin();
    return { session, keys: await importJwk(session.key) };
  };

  const access = new Remembered(resume);

  const current = async (): Promise<Access> => {
    const pending = access.get();
    const known = await pending;
    if (known.session.expiresAt - now() >= marginMs) return known;
    return access.peek() === pending ? access.set(begin()) : access.get();
  };

  /** A 401 with a known nonce means that the token counts no more, such as after a change of the operator's key. */
  const send = async (request: HttpRequest): Promise<HttpAnswer> => {
    const headers = { 'user-agent': options.userAgent, ...request.headers };
    const attempt = async (): Promise<{ used: Access; answer: HttpAnswer }> => {
      const used = await current();
      const { accessToken } = used.session;
      return { used, answer: await proven.send({ ...request, headers }, { keys: used.keys, accessToken }) };
    };
    const { used, answer } = await attempt();
    if (answer.status !== 401) return answer;
    await readText(answer);
    await cache.drop();
    if ((await current()) === used) await access.set(begin());
    return (await attempt()).answer;
  };

  const json = async <T>(request: HttpRequest): Promise<T> => {
    const answer = await send(request);
    const text = await readText(answer);
    if (answer.status >= 300) throw portalFailure(answer.status, text);
    return JSON.parse(text) as T;
  };

  return {
    url: http.url,
    get: (path) => json({ method: 'GET', path }),
    post: (path, body) =>
      json({
        method: 'POST',
        path,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    open: async (path, { signal, silenceMs } = {}) => {
      const answer = await send({
        method: 'GET',
        path,
        ...(signal === undefined ? {} : { signal }),
        ...(silenceMs === undefined ? {} : { silenceMs }),
      });
      if (answer.status !== 200) throw portalFailure(answer.status, await readText(answer));
      return answer;
    },
    close: () => http.close(),
  };
};
