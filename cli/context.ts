import type { OutputFormat } from './command.ts';
import type { KubeClient } from './kube/client.ts';
import type { Portal } from './portal/client.ts';
import type { Style } from './output/style.ts';

/** A stream of the terminal. */
export interface Sink {
  readonly isTTY: boolean;
  readonly style: Style;
  /** Resolves when the text is accepted; slow readers slow the program down. */
  write(text: string | Uint8Array): Promise<void>;
}

/** What a verb works with. Connections are made when first asked for. */
export interface Context {
  /** How the program was called: `outrider` or `kubectl outrider`. */
  readonly program: string;
  readonly out: Sink;
  readonly err: Sink;
  /** Undefined: the table for people. */
  readonly format: OutputFormat | undefined;
  /** Writes a line for people to stderr; nothing with --quiet. */
  note(text: string): Promise<void>;
  /** Namespace in use: --namespace, else the kubeconfig context's, else default. */
  namespace(): Promise<string>;
  /** Where Outrider is installed: --outrider-namespace, else outrider-system. */
  operatorNamespace(): Promise<string>;
  kube(): Promise<KubeClient>;
  portal(): Promise<Portal>;
  /** Aborted by the first Ctrl-C (SIGINT) or SIGTERM. */
  readonly interrupted: AbortSignal;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}
