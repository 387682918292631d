import type { KubeConfig } from '@kubernetes/client-node';
import type { KubeClient, KubeObject, ResourceType } from './contract.ts';
import { isConflict, isNotFound, KubeError } from './kube-error.ts';
import { listPages, withoutManagedFields } from './list-pages.ts';
import { pathOf, queryOf } from './resources.ts';
import { createTransport, failureOf, type SignalledCall } from './transport.ts';

export interface KubeClientOptions {
  /** Version of the product, for the User-Agent. @default none */
  readonly version?: string;
  /** How long a request may take in all, in milliseconds; for a watch, until its headers. @default 15,000 */
  readonly deadlineMs?: number;
}

export const mergePatchType = 'application/merge-patch+json';

/**
 * The API server that a kubeconfig names. client-node loads the kubeconfig and answers for credentials (files, exec
 * plugins, a ServiceAccount's rotating token); requests, deadlines and streams are our own.
 */
export const createKubeClient = (kubeConfig: KubeConfig, options: KubeClientOptions = {}): KubeClient => {
  const transport = createTransport(kubeConfig, { deadlineMs: options.deadlineMs ?? 15_000 });
  const agent = options.version === undefined ? 'outrider-operator' : `outrider-operator/${options.version}`;
  const base = { Accept: 'application/json', 'User-Agent': agent };

  const request: KubeClient['request'] = async ({ method, path, body, contentType, signal }) => {
    const headers =
      body === undefined ? base : { ...base, 'Content-Type': contentType ?? 'application/json' };
    const text = await transport.send({
      method,
      path,
      headers,
      signal,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return parseAnswer(`${method} ${path}`, text);
  };

  return {
    request,
    get: async <T extends KubeObject>(type: ResourceType, ref: { namespace?: string; name: string }) => {
      try {
        return withoutManagedFields((await request({ method: 'GET', path: pathOf(type, ref) })) as T, type);
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
    list: async <T extends KubeObject>(
      type: ResourceType,
      { namespace, labelSelector }: { namespace?: string; labelSelector?: string } = {},
    ) => (await listPages<T>({ request }, type, { namespace, labelSelector })).items,
    create: async <T extends KubeObject>(type: ResourceType, namespace: string | undefined, body: unknown) =>
      withoutManagedFields(
        (await request({ method: 'POST', path: pathOf(type, { namespace }), body })) as T,
        type,
      ),
    patch: async <T extends KubeObject>(
      type: ResourceType,
      ref: { namespace?: string; name: string },
      { body, subresource }: { body: unknown; subresource?: 'status' },
    ) => {
      const path = pathOf(type, subresource === undefined ? ref : { ...ref, subresource });
      return withoutManagedFields(
        (await request({ method: 'PATCH', path, body, contentType: mergePatchType })) as T,
        type,
      );
    },
    delete: async (type, { namespace, name, uid }) => {
      const body = uid === undefined ? undefined : { preconditions: { uid } };
      try {
        await request({ method: 'DELETE', path: pathOf(type, { namespace, name }), body });
      } catch (error) {
        // Gone already, or (by the precondition) replaced by another of the same name: the one that was meant is gone.
        if (isNotFound(error) || (uid !== undefined && isConflict(error))) return;
        throw error;
      }
    },
    watch: (path, signal) => {
      const call = { method: 'GET', path, headers: base, signal };
      return readLines(call, () => transport.open(call));
    },
  };
};

/** Adds the parameters of a watch to a collection's path. */
export const watchPath = (
  type: ResourceType,
  options: { namespace?: string | undefined; resourceVersion: string; timeoutSeconds: number },
): string => {
  const { namespace, resourceVersion, timeoutSeconds } = options;
  return (
    pathOf(type, { namespace }) +
    queryOf({ watch: true, allowWatchBookmarks: true, resourceVersion, timeoutSeconds })
  );
};

const parseAnswer = (call: string, text: string): unknown => {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new KubeError(
      {
        status: 0,
        reason: 'InvalidAnswer',
        message: `The answer to ${call} is not JSON: ${text.slice(0, 100)} (InvalidAnswer)`,
      },
      { cause: error },
    );
  }
};

/** The parsed lines of an open stream, as they come; it ends when the server ends it. */
const readLines = async function* (
  call: SignalledCall,
  open: () => Promise<NodeJS.ReadableStream>,
): AsyncGenerator<unknown> {
  const stream = await open();
  stream.setEncoding('utf8');
  try {
    for await (const line of linesOf(stream)) yield parseAnswer(call.path, line);
  } catch (error) {
    throw error instanceof KubeError ? error : failureOf(call, error);
  }
};

const linesOf = async function* (stream: NodeJS.ReadableStream): AsyncGenerator<string> {
  let rest = '';
  for await (const piece of stream) {
    const lines = (rest + String(piece)).split('\n');
    rest = lines.pop() ?? '';
    yield* lines.filter((line) => line !== '');
  }
};
