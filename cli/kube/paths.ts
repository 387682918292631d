import { apiVersion } from '@outrider/kinds';

/** Path of Outrider's resources in the Kubernetes API. */
export const resourcePath = (namespace: string, plural: string, name?: string): string =>
  `/apis/${apiVersion}/namespaces/${encodeURIComponent(namespace)}/${plural}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`;
