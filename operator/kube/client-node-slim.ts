/**
 * What the bundle gives `@dot-i/k8s-operator` in place of the whole of client-node: the kubeconfig, and an API class that it
 * makes and never calls. The generated API of client-node costs 85 MB of resident memory, and nothing here uses it:
 * requests are our own (transport.ts). Sources and tests run with the whole library.
 */
export { KubeConfig } from '@kubernetes/client-node/dist/config.js';

/** The library's constructor makes one; its watch and status helpers, which would use it, are never called. */
export class CoreV1Api {
  readonly neverCalled = true;
}
