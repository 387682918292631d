import type { AttemptRef, Connection, NodeInput, Outcome, TaskSpec } from '@outrider/protocol';

export type Presence = 'Required' | 'Optional' | 'Refused';

/**
 * What a node type is, as data: the operator, the generators and the web forms read it and never load an executor.
 * One folder per node type: definition.ts, execute.ts, tests, example.yaml, README.md.
 */
export interface NodeDefinition {
  readonly name: string;
  readonly title: string;
  /** Two or three sentences for `kubectl explain` and docs/reference. */
  readonly description: string;
  /** Type of Target it acts on; absent when it acts on the runner's own machine. */
  readonly targetType?: 'SSH' | 'Kubernetes';
  readonly target: Presence;
  readonly credential: Presence;
  readonly fields: Readonly<Record<keyof NodeInput, Presence>>;
  /** At least one of these must be set, and not two of them. */
  readonly exactlyOneOf?: readonly (keyof NodeInput)[];
  /** Fields of a credential that it understands, by name, with their meaning. */
  readonly credentialFields: Readonly<Record<string, string>>;
  readonly defaults: { readonly interpreter?: string; readonly timeoutMs: number };
  /**
   * True when this input runs code on the runner itself, which needs local-exec in both Runner.spec.allow and the runner's
   * own configuration.
   */
  runsLocally(input: NodeInput): boolean;
}

/** Bytes of one output stream. Redaction and journalling happen behind it. */
export interface OutputSink {
  /** Resolves when more may be written: back-pressure reaches the remote channel through it. */
  write(bytes: Uint8Array): Promise<void>;
}

/** Why `signal` aborted. `Abandoned`: the operator no longer wants this attempt; kill and report nothing. */
export type StopReason = 'Cancelled' | 'TimedOut' | 'Abandoned';

/** The runner's own configuration as far as executors need it. */
export interface RunnerMachine {
  /** Kubeconfig file and the contexts of it that tasks may use. */
  readonly kubeconfig?: string;
  readonly kubeContexts: readonly string[];
  /** known_hosts file used when neither the step nor a Target pins the host key. */
  readonly knownHostsFile?: string;
  readonly kubectl: string;
  /** local-exec is permitted by the machine's own configuration. */
  readonly localExec: boolean;
  /** Private folder for files that a tool insists on: tmpfs where there is one, emptied at runner start. */
  readonly secretsDir: string;
  /** Working folders of local children. */
  readonly workDir: string;
}

/** Bytes of each stream as the source wrote them, before redaction. */
export interface OutputOffsets {
  readonly stdout: number;
  readonly stderr: number;
}

/** By which a restarted runner finds what runs, such as a process group or a remote pid. Never a secret. */
export type Handle = Readonly<Record<string, string | number>>;

/** The key that a host has shown, as in known_hosts: algorithm, a space, base64. */
export interface ShownHostKey {
  readonly host: string;
  readonly port: number;
  readonly key: string;
}

/** One per attempt, handed to the executor. */
export interface TaskContext {
  readonly attempt: AttemptRef;
  readonly spec: TaskSpec;
  readonly connection: Connection;
  /** Fields of the credential, such as username and ssh-privatekey; undefined when the step names none. */
  readonly credential: Readonly<Record<string, string>> | undefined;
  readonly machine: RunnerMachine;
  /** Aborts with a StopReason as `signal.reason`. The executor ends what it started, checks, and returns. */
  readonly signal: AbortSignal;
  readonly stdout: OutputSink;
  readonly stderr: OutputSink;
  /** A line by the product itself, such as "connected to …"; shown apart from the output. */
  note(line: string): Promise<void>;
  /** Journals the handle; await it before the first side effect. With a `spool` in it a restarted runner reattaches. */
  handle(handle: Handle): Promise<void>;
  /**
   * For output that the source keeps until it is told to forget it: resolves with how much of it the journal has in such
   * a way that a restarted runner can go on from there. Rejects when the journal takes nothing.
   */
  checkpoint(): Promise<OutputOffsets>;
  /** Resolves once the result is journalled, after the executor has returned: what was kept for a restart may go. */
  readonly settled: Promise<void>;
  /**
   * Under `hostKeyPolicy: AcceptNew`, before anything is sent to a host whose key is not known: the key on record at the
   * operator, which is the one that was shown if there was none. Rejects when the operator does not answer.
   */
  learnHostKey(shown: ShownHostKey): Promise<string>;
  /** After `signal` aborted: ending what was started may take so many milliseconds more than usual. */
  needsTime(milliseconds: number): void;
}

export interface ExecutorResult {
  readonly outcome: Outcome;
  readonly exitCode?: number;
  readonly signal?: string;
  /** An error code of runner/protocol/errors.ts; absent on success. */
  readonly reason?: string;
  readonly message?: string;
  readonly unconfirmed?: boolean;
  /** JSON values for later steps. The attempt fails when one contains a secret. */
  readonly outputs?: Readonly<Record<string, unknown>>;
}

/** Throws OutriderError for what the user must learn; the host turns it into a Failed result. */
export type Executor = (context: TaskContext) => Promise<ExecutorResult>;

/** Ends what an earlier runner process left running, by the journalled handle. True when it is surely gone. */
export type Reaper = (handle: Handle) => Promise<boolean>;

/** What an earlier process of this runner started and did not see end. */
export interface LeftRunning {
  readonly handle: Handle;
  /** Output before this is journalled. */
  readonly from: OutputOffsets;
}

/**
 * Goes on with what runs: passes on its output from where the journal ends, and gives its true end. Nothing is started
 * anew. An executor module that exports it journals handles with a `spool`.
 */
export type Reattacher = (context: TaskContext, left: LeftRunning) => Promise<ExecutorResult>;

/**
 * Removes what was kept on the target for a restart of the runner, once the result is journalled: the process before may have
 * died before it could. Nothing of the attempt runs any more; its log is closed.
 */
export type Tidier = (context: TaskContext, handle: Handle) => Promise<void>;

/** Whether work with this handle goes on without the process that started it, and can be taken up again. */
export const isReattachable = (handle: Handle): boolean => typeof handle['spool'] === 'string';
