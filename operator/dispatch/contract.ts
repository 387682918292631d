import type {
  AcceptRequest,
  AcceptResponse,
  CloseRequest,
  HostKeyRequest,
  HostKeyResponse,
  LogChunk,
  LogsResponse,
  PollRequest,
  PollResponse,
  RecoveryRequest,
  RecoveryResponse,
  ReportsRequest,
  ReportsResponse,
  SessionRequest,
  SessionResponse,
} from '@outrider/protocol';
import type { TaskRecord } from '../ledger/records.ts';

/** Who calls, as the runner API has verified it (key-bound token, not revoked). */
export interface AuthenticatedRunner {
  readonly clientId: string;
  readonly namespace: string;
  readonly name: string;
  readonly local: boolean;
}

/** The runner protocol behind its transport. Every method throws OutriderError with a code of the protocol. */
export interface Dispatch {
  openSession(runner: AuthenticatedRunner, request: SessionRequest): Promise<SessionResponse>;
  /** Held until there is something to say, the poll time is over, or `signal` aborts. */
  poll(runner: AuthenticatedRunner, request: PollRequest, signal: AbortSignal): Promise<PollResponse>;
  accept(runner: AuthenticatedRunner, request: AcceptRequest): Promise<AcceptResponse>;
  report(runner: AuthenticatedRunner, request: ReportsRequest): Promise<ReportsResponse>;
  logs(runner: AuthenticatedRunner, session: string, chunks: readonly LogChunk[]): Promise<LogsResponse>;
  /** Results that were acknowledged before the ledger was put back from a copy. */
  recover(runner: AuthenticatedRunner, request: RecoveryRequest): Promise<RecoveryResponse>;
  /** The key of the host that an attempt of this runner connects to: the first one told, or the one on record. */
  learnHostKey(runner: AuthenticatedRunner, request: HostKeyRequest): Promise<HostKeyResponse>;
  closeSession(runner: AuthenticatedRunner, request: CloseRequest): Promise<void>;
  /** The task, if this runner holds this epoch in Claimed or Running under this session: the only time secrets go out. */
  authorizeSecrets(
    runner: AuthenticatedRunner,
    request: { session: string; generation: string; task: string; epoch: number; reference: string },
  ): Promise<TaskRecord>;
  /** Cuts open polls and refuses the key from now on. */
  revoke(clientId: string): void;
}

/** What the runner reconciler and the portal read of live runners. */
export interface LiveRunner {
  readonly clientId: string;
  readonly namespace: string;
  readonly name: string;
  readonly session: string;
  readonly lastContact: number;
  readonly connected: boolean;
  /** It said good-bye (drain) and has not come back. */
  readonly closed: boolean;
  readonly load: number;
  readonly capacity: number;
  readonly version: string;
  readonly startedAt: string;
  /** Tags in effect. */
  readonly tags: readonly string[];
  readonly requestedTags: readonly string[] | null;
  /** Reasons for Degraded: clock skew, journal nearly full, and what it says itself. */
  readonly degraded: readonly string[];
}

export interface RunnerDirectory {
  list(): readonly LiveRunner[];
  get(namespace: string, name: string): readonly LiveRunner[];
  /** A runner came, went, or changed in what its status shows (not every heartbeat). */
  onChange(listener: (namespace: string, name: string) => void): () => void;
}
