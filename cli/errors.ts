/** What the program ends with. */
export const exitStatus = {
  ok: 0,
  /** Refused or failed; also a followed run that failed. */
  failed: 1,
  usage: 2,
  /** A followed run that was cancelled. */
  cancelled: 3,
  /** Detached by Ctrl-C: 128 and the number of SIGINT, as shells have it. */
  interrupted: 130,
} as const;

export interface CliProblem {
  /** Stable word; those of the portal and of the API server are passed on as they are. */
  readonly code: string;
  readonly message: string;
  /** What to do next; empty when the message says it. */
  readonly action: string;
}

/** Every failure that a user is told of. Thrown anywhere, printed in one place. */
export class CliError extends Error implements CliProblem {
  override readonly name = 'CliError';
  readonly code: string;
  readonly action: string;
  readonly exitCode: number;
  /** True when the same call may succeed later: no answer, or an overloaded server. */
  readonly transient: boolean;

  constructor(
    problem: CliProblem,
    options: { readonly exitCode?: number; readonly transient?: boolean; readonly cause?: unknown } = {},
  ) {
    super(problem.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = problem.code;
    this.action = problem.action;
    this.exitCode = options.exitCode ?? exitStatus.failed;
    this.transient = options.transient ?? false;
  }
}

/** Thrown when the words of the command line do not make a command. */
export const usageError = (message: string, action: string): CliError =>
  new CliError({ code: 'Usage', message, action }, { exitCode: exitStatus.usage });

/** Thrown when the kubeconfig, a flag or a file does not say how to reach the cluster or the portal. */
export const configError = (message: string, action: string, cause?: unknown): CliError =>
  new CliError({ code: 'ConfigInvalid', message, action }, { cause });

/** What an unexpected exception becomes. */
export const toCliError = (error: unknown): CliError =>
  error instanceof CliError
    ? error
    : new CliError(
        {
          code: 'Internal',
          message: error instanceof Error ? error.message : String(error),
          action: 'This is a defect: report it with the command and this message.',
        },
        { cause: error },
      );
