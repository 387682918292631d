import {
  Closed,
  Integer,
  List,
  Maybe,
  OneOf,
  Opaque,
  StringMap,
  Text,
  Flag,
  type Static,
} from '@outrider/schema';

const Name = () => Text({ maxLength: 253, minLength: 1 });

/**
 * One attempt at a task. `task` is the ledger's id of the task; each epoch of it is one attempt.
 * Whoever holds an older epoch of the same task can no longer change anything.
 */
export const AttemptRef = Closed({
  task: Text({ maxLength: 64, minLength: 1 }),
  epoch: Integer({ minimum: 1, maximum: 1_000_000 }),
});
export type AttemptRef = Static<typeof AttemptRef>;

/** `task/epoch`: a map key and a log field. */
export const attemptKey = (ref: AttemptRef): string => `${ref.task}/${ref.epoch}`;

/** Where a step acts, after Targets have been resolved: the union of what the node types understand. */
export const Connection = Closed({
  /** Name of the Target resource; absent for an inline target. */
  name: Maybe(Name()),
  host: Maybe(Name()),
  port: Maybe(Integer({ minimum: 1, maximum: 65_535 })),
  user: Maybe(Text({ maxLength: 253 })),
  /** `SHA256:…` fingerprint, or known_hosts lines. */
  hostKey: Maybe(Text({ maxLength: 16_384 })),
  /** `Strict` when absent: a host whose key is not known is refused. */
  hostKeyPolicy: Maybe(OneOf(['Strict', 'AcceptNew'] as const)),
  context: Maybe(Text({ maxLength: 253 })),
  namespace: Maybe(Text({ maxLength: 63 })),
});
export type Connection = Static<typeof Connection>;

/** What the step itself says, per node type a subset (see the node's definition). */
export const NodeInput = Closed({
  script: Maybe(Text({ maxLength: 65_536 })),
  command: Maybe(Text({ maxLength: 65_536 })),
  interpreter: Maybe(Text({ maxLength: 256 })),
  workdir: Maybe(Text({ maxLength: 4096 })),
  env: Maybe(StringMap({ maxProperties: 200, maxLength: 65_536 })),
});
export type NodeInput = Static<typeof NodeInput>;

/** What happens to an attempt whose runner is not heard of any more. */
export const onLostPolicies = ['Fail', 'Retry', 'Verify', 'Ask'] as const;
export type OnLost = (typeof onLostPolicies)[number];

/** Everything a runner needs for one attempt, except secrets. */
export const TaskSpec = Closed({
  namespace: Name(),
  run: Name(),
  runUid: Text({ maxLength: 64 }),
  workflow: Name(),
  step: Name(),
  node: Text({ maxLength: 63 }),
  input: NodeInput,
  connection: Maybe(Connection),
  /** `STORE:NAME`, resolved by asking for credentials of this attempt; never a secret. */
  credential: Maybe(Text({ maxLength: 512 })),
  /** Counted from the executor's entry. */
  timeoutMs: Integer({ minimum: 1, maximum: 604_800_000 }),
  /** `Fail` when absent. Under `Retry` the runner ends its own work once its lease cannot be renewed any more. */
  onLost: Maybe(OneOf(onLostPolicies)),
  /** False: no supervisor and no spool on the target, for network devices; a cut line then ends the script. */
  detach: Maybe(Flag()),
});
export type TaskSpec = Static<typeof TaskSpec>;

export const Outcome = OneOf(['Succeeded', 'Failed', 'TimedOut', 'Cancelled'] as const);
export type Outcome = Static<typeof Outcome>;

/** How an attempt ended. Its SHA-256 over RFC 8785 JSON is the result's digest. */
export const TaskResult = Closed({
  outcome: Outcome,
  exitCode: Maybe(Integer({ minimum: -1, maximum: 4_294_967_295 })),
  /** POSIX name, such as SIGKILL. */
  signal: Maybe(Text({ maxLength: 16 })),
  /** An error code of this product; absent on success. */
  reason: Maybe(Text({ maxLength: 64 })),
  message: Maybe(Text({ maxLength: 1024 })),
  /** True when a kill was asked for and its effect could not be checked. */
  unconfirmed: Maybe(Flag()),
  startedAt: Text({ maxLength: 32, format: 'date-time' }),
  finishedAt: Text({ maxLength: 32, format: 'date-time' }),
  log: Closed({
    /** Bytes of framed log that this attempt produced. */
    length: Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
    /** Lower-case hex over those bytes. */
    sha256: Text({ maxLength: 64 }),
  }),
  outputs: Maybe(Opaque()),
});
export type TaskResult = Static<typeof TaskResult>;

export const AttemptList = (maxItems: number) => List(AttemptRef, { maxItems });
