import type { KubeClient, KubeObject, ResourceType } from './contract.ts';
import { isExpired } from './kube-error.ts';
import { apiVersionOf, pathOf, queryOf } from './resources.ts';

/** Objects a page: bounds the API server's and our own memory per answer. */
const pageSize = 500;
/** A list that outlives etcd's compaction is begun again; twice in a row is bad luck, more is another fault. */
const restarts = 2;

export interface Listing<T> {
  readonly items: readonly T[];
  /** Where a watch goes on. */
  readonly resourceVersion: string;
}

interface Page {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly KubeObject[];
}

interface ListOptions {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly signal?: AbortSignal;
}

/** Every object of a type, page by page, consistent as of the first page, managedFields stripped. */
export const listPages = async <T extends KubeObject>(
  client: Pick<KubeClient, 'request'>,
  type: ResourceType,
  options: ListOptions = {},
): Promise<Listing<T>> => {
  for (let left = restarts; ; left--) {
    try {
      return await listOnce<T>(client, type, options);
    } catch (error) {
      if (!isExpired(error) || left === 0) throw error;
    }
  }
};

const listOnce = async <T extends KubeObject>(
  client: Pick<KubeClient, 'request'>,
  type: ResourceType,
  { namespace, labelSelector, signal }: ListOptions,
): Promise<Listing<T>> => {
  const items: T[] = [];
  let next: string | undefined;
  for (;;) {
    const query = queryOf({ limit: pageSize, continue: next, labelSelector });
    const path = pathOf(type, { namespace }) + query;
    const page = (await client.request({
      method: 'GET',
      path,
      ...(signal === undefined ? {} : { signal }),
    })) as Page;
    for (const item of page.items) items.push(withoutManagedFields(item as T, type));
    next = page.metadata.continue;
    if (next === undefined || next === '') return { items, resourceVersion: page.metadata.resourceVersion };
  }
};

/** The object without its managedFields (often half its size), with the kind that items of a list lack. */
export const withoutManagedFields = <T extends KubeObject>(object: T, type: ResourceType): T => {
  const metadata: T['metadata'] & { managedFields?: unknown } = { ...object.metadata };
  delete metadata.managedFields;
  return { ...object, apiVersion: apiVersionOf(type), kind: type.kind, metadata };
};
