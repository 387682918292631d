import { randomBytes } from 'node:crypto';
import { beforeAll, inject } from 'vitest';
import type { CommandResult } from '../servers/command.ts';
import { connect, type ControlPlane, type KubectlOptions } from '../servers/control-plane.ts';

/** A namespace of the shared API server that belongs to one test file. */
export interface TestNamespace {
  readonly namespace: string;
  readonly controlPlane: ControlPlane;
  /** kubectl in this namespace, as the administrator unless told otherwise. */
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<CommandResult>;
  /** Like `kubectl`; returns stdout and rejects with kubectl's words if it fails. */
  mustKubectl(args: readonly string[], options?: KubectlOptions): Promise<string>;
  /** Server-side apply of one or more YAML documents. */
  apply(yaml: string, options?: KubectlOptions): Promise<CommandResult>;
}

/** The shared API server. Its `stop` does nothing: the global setup ends it. */
export function sharedControlPlane(): ControlPlane {
  return connect(inject('controlPlane'), async () => {});
}

/** Makes a fresh namespace before the tests of the calling file; call it once, at the top. */
export function useNamespace(prefix = 'test'): TestNamespace {
  const controlPlane = sharedControlPlane();
  const namespace = `${prefix}-${randomBytes(4).toString('hex')}`;
  beforeAll(async () => {
    await controlPlane.mustKubectl(['create', 'namespace', namespace]);
  });
  const within = (args: readonly string[]): string[] => ['--namespace', namespace, ...args];
  const kubectl: TestNamespace['kubectl'] = (args, options) => controlPlane.kubectl(within(args), options);
  return {
    namespace,
    controlPlane,
    kubectl,
    mustKubectl: (args, options) => controlPlane.mustKubectl(within(args), options),
    apply: (yaml, options) => kubectl(['apply', '--server-side', '-f', '-'], { ...options, input: yaml }),
  };
}
