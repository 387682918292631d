import { createHttp, jsonObject, readText } from '@outrider/cli/http';
import { importJwk, type PrivateJwk } from '@outrider/cli/portal/key';
import { logIn } from '@outrider/cli/portal/login';
import { withProofs, type ProvenHttp } from '@outrider/cli/portal/proof';
import type { Session } from '@outrider/cli/portal/token-cache';
import type { Login } from '@outrider/kinds';
import { systemNamespace } from '../servers/outrider.ts';
import type { Stack } from './stack.ts';

/** What a role permits in API group outrider.dev. */
export interface Permission {
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

export type Subject =
  | { readonly kind: 'ServiceAccount'; readonly name: string }
  | {
      readonly kind: 'User' | 'Group';
      readonly name: string;
      readonly apiGroup: 'rbac.authorization.k8s.io';
    };

/** A Role and its RoleBinding, both called `name`. */
export const grant = (
  stack: Stack,
  name: string,
  { subject, rules }: { readonly subject: Subject; readonly rules: readonly Permission[] },
): Promise<void> => {
  const apiGroup = 'rbac.authorization.k8s.io';
  const apiVersion = `${apiGroup}/v1`;
  const inNamespace = subject.kind === 'ServiceAccount' ? { namespace: stack.namespace } : {};
  return stack.apply(
    {
      apiVersion,
      kind: 'Role',
      metadata: { name },
      rules: rules.map((rule) => ({ apiGroups: ['outrider.dev'], ...rule })),
    },
    {
      apiVersion,
      kind: 'RoleBinding',
      metadata: { name },
      roleRef: { apiGroup, kind: 'Role', name },
      subjects: [{ ...subject, ...inNamespace }],
    },
  );
};

/** Kubeconfig of a new ServiceAccount with these permissions and no other. */
export const serviceAccount = async (
  stack: Stack,
  name: string,
  ...rules: readonly Permission[]
): Promise<string> => {
  await stack.kubectl('create', 'serviceaccount', name);
  if (rules.length > 0) await grant(stack, name, { subject: { kind: 'ServiceAccount', name }, rules });
  return stack.controlPlane.serviceAccountKubeconfig({ namespace: stack.namespace, name });
};

export interface PortalCall {
  readonly path: string;
  readonly accessToken: string;
  /** Signs the proof. */
  readonly key: PrivateJwk;
}

export interface PortalAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

const withPortal = async <T>(stack: Stack, use: (portal: ProvenHttp) => Promise<T>): Promise<T> => {
  const { kubeconfig, portalUrl } = stack.operator;
  const get = ['-n', systemNamespace, 'get', 'configmap', 'outrider-portal', '-o', 'json'];
  const { data } = JSON.parse(await stack.controlPlane.mustKubectl(get, { kubeconfig })) as {
    readonly data: Readonly<Record<string, string>>;
  };
  const ca = data['ca.crt'] ?? '';
  const http = createHttp({ url: portalUrl, name: 'the portal', ca, env: {}, certificateAction: '' });
  try {
    return await use(withProofs(http));
  } finally {
    await http.close();
  }
};

/** Calls the portal with any token and any key. */
export const callPortal = (stack: Stack, { path, accessToken, key }: PortalCall): Promise<PortalAnswer> =>
  withPortal(stack, async (portal) => {
    const answer = await portal.send({ method: 'GET', path }, { keys: await importJwk(key), accessToken });
    return { status: answer.status, body: jsonObject(await readText(answer)) };
  });

/** Asks for a token with a fresh key, for a Login that somebody else has created with another. */
export const logInWith = (stack: Stack, login: Login): Promise<Session> =>
  withPortal(stack, (http) => {
    const kube = {
      whoAmI: () => Promise.resolve({ username: login.spec.username, groups: [] }),
      // Every call answers with that Login: only the one that would create it is made.
      request: <T>() => Promise.resolve(login as T),
    };
    return logIn({
      kube,
      http,
      operatorNamespace: systemNamespace,
      namespace: systemNamespace,
      now: Date.now,
    });
  });
