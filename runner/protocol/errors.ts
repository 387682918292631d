/** What is sent over the wire, printed by the CLI and written to conditions: one shape, one wording. */
export interface Problem {
  /** Stable, CamelCase; scripts may match on it. */
  readonly code: ErrorCode;
  /** What happened, to what, and why. One sentence or two. */
  readonly message: string;
  /** What to do next, as an instruction. */
  readonly action: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * Every error code of the product with its HTTP status. A code never changes its meaning.
 * A status of 0 marks a code that ends an attempt or stands in a condition and never answers a request.
 */
export const errorStatus = {
  // Any API
  BadRequest: 400,
  Unauthenticated: 401,
  Forbidden: 403,
  NotFound: 404,
  Conflict: 409,
  PayloadTooLarge: 413,
  TooManyRequests: 429,
  Internal: 500,
  Unavailable: 503,
  // Joining and identity of runners
  RegistrationTokenInvalid: 401,
  RegistrationTokenExpired: 401,
  RegistrationTokenUsed: 409,
  RunnerNameTaken: 409,
  RunnerRevoked: 403,
  TagNotPermitted: 403,
  CertificateMismatch: 0,
  OperatorUnreachable: 0,
  ConfigInvalid: 0,
  // Protocol
  ProtocolVersionUnsupported: 400,
  SessionUnknown: 409,
  SessionSuperseded: 409,
  SessionQuarantined: 409,
  GenerationMismatch: 409,
  EpochMismatch: 409,
  StateMismatch: 409,
  OfferExpired: 409,
  result_conflict: 409,
  log_conflict: 409,
  log_gap: 409,
  // Ledger
  RecoveryActive: 503,
  TermSuperseded: 503,
  // Runs
  WorkflowNotFound: 0,
  InvalidParameters: 0,
  TargetNotFound: 0,
  NoTargets: 0,
  NoRunner: 0,
  QueueTimeout: 0,
  Expired: 0,
  AlreadyRan: 0,
  Lost: 0,
  Orphaned: 0,
  Poisoned: 0,
  AwaitingHuman: 0,
  TargetBusy: 0,
  QuotaReached: 0,
  Cancelled: 0,
  TimedOut: 0,
  StepFailed: 0,
  NonZeroExit: 0,
  KilledBySignal: 0,
  // Credentials
  StoreNotFound: 404,
  StoreUnreachable: 502,
  StoreDenied: 403,
  SecretNotFound: 404,
  SecretNotAllowed: 403,
  CredentialInvalid: 0,
  EnvelopeInvalid: 400,
  // Acting on targets
  AuthenticationFailed: 0,
  TargetUnreachable: 0,
  HostKeyMismatch: 0,
  HostKeyUnknown: 0,
  ConnectionLost: 0,
  EpochFenced: 0,
  TargetRestarted: 0,
  SpoolFull: 0,
  SpoolLost: 0,
  InterpreterNotFound: 0,
  KubectlMissing: 0,
  KubectlFlagRefused: 0,
  CommandInvalid: 0,
  ContextNotFound: 0,
  LocalExecNotAllowed: 0,
  NodeNotAllowed: 0,
  NodeUnknown: 0,
  UserMissing: 0,
  ExecutorCrashed: 0,
  SecretInOutputs: 0,
  JournalFull: 0,
  JournalFailed: 0,
  JournalLocked: 0,
  JournalDamaged: 0,
} as const;

export type ErrorCode = keyof typeof errorStatus;

/** Thrown wherever a user or another part of the product must learn what went wrong. */
export class OutriderError extends Error implements Problem {
  override readonly name = 'OutriderError';
  readonly code: ErrorCode;
  readonly action: string;
  readonly details?: Readonly<Record<string, unknown>>;

  constructor(problem: Problem, options?: ErrorOptions) {
    super(problem.message, options);
    this.code = problem.code;
    this.action = problem.action;
    if (problem.details !== undefined) this.details = problem.details;
  }

  get status(): number {
    return errorStatus[this.code] || 500;
  }

  toJSON(): Problem {
    return {
      code: this.code,
      message: this.message,
      action: this.action,
      ...(this.details === undefined ? {} : { details: this.details }),
    };
  }
}

/** `message (action)`: how a problem reads on one line in a terminal, a condition or an Event. */
export const describeProblem = (problem: Problem): string => `${problem.message} ${problem.action}`;

/** What an unexpected exception becomes: nothing of it is lost, and it is never shown as a bare stack. */
export const toProblem = (error: unknown): Problem => {
  if (error instanceof OutriderError) return error.toJSON();
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'Internal', message, action: 'This is a defect: report it with the log of this moment.' };
};
