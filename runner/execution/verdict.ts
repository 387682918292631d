import { OutriderError, describeProblem, toProblem, type ErrorCode, type Outcome } from '@outrider/protocol';
import type { ExecutorResult, StopReason } from '@outrider/nodes/contract';
import type { SecretSet } from '../redaction/redactor.ts';

/** Longest message of a result, in UTF-16 units. */
const messageLimit = 1024;

const outcomeOf = (stopped: StopReason): Outcome => (stopped === 'TimedOut' ? 'TimedOut' : 'Cancelled');

const defaultReasons: Readonly<Record<Exclude<Outcome, 'Succeeded'>, ErrorCode>> = {
  Failed: 'StepFailed',
  TimedOut: 'TimedOut',
  Cancelled: 'Cancelled',
};

const stopMessages: Readonly<Record<StopReason, string>> = {
  TimedOut: 'The step ran longer than its timeout.',
  Cancelled: 'The step was cancelled.',
  Abandoned: 'The operator no longer wants this attempt.',
};

/** Cuts at the limit, never inside a character. */
const bounded = (text: string, limit: number): string => {
  if (text.length <= limit) return text;
  const cut = text.slice(0, limit - 1);
  return `${/[\uD800-\uDBFF]$/.test(cut) ? cut.slice(0, -1) : cut}…`;
};

/** An attempt that was stopped before anything ran: nothing is left, and that is sure. */
export const neverEntered = (stopped: StopReason): ExecutorResult => ({
  outcome: outcomeOf(stopped),
  message:
    stopped === 'TimedOut'
      ? 'The executor did not start in time.'
      : `${stopMessages[stopped]} It had not begun.`,
});

/** An executor that did not end within the grace after its signal: nobody knows what it left running. */
export const overdue = (stopped: StopReason): ExecutorResult => ({
  outcome: outcomeOf(stopped),
  message: `${stopMessages[stopped]} The executor did not end in time; what it started may still run.`,
  unconfirmed: true,
});

/** The thread with the executors ended under this attempt. */
export const crashed = (cause: string): ExecutorResult => ({
  outcome: 'Failed',
  reason: 'ExecutorCrashed',
  message: `The runner's executor thread ended while the step ran: ${cause}. What the step started may still run. Check the target before running the step again.`,
  unconfirmed: true,
});

/** What an exception means. After the signal it is the end of a stopped attempt whose check is missing. */
export const thrown = (error: unknown, stopped: StopReason | undefined): ExecutorResult => {
  const problem = toProblem(error);
  const text = describeProblem(problem);
  if (stopped === undefined) return { outcome: 'Failed', reason: problem.code, message: text };
  return {
    outcome: outcomeOf(stopped),
    message: `${stopMessages[stopped]} While it was ended: ${text}`,
    unconfirmed: true,
  };
};

/** Looks at every name and every text or number in a JSON value. */
const containsSecret = (value: unknown, secrets: SecretSet): boolean => {
  if (typeof value === 'string') return secrets.contains(value);
  if (typeof value === 'number' || typeof value === 'bigint') return secrets.contains(value.toString());
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, item]) => secrets.contains(key) || containsSecret(item, secrets));
};

const secretInOutputs = (): ExecutorResult => {
  const problem = new OutriderError({
    code: 'SecretInOutputs',
    message: 'The step succeeded, but an output of it contains a secret of its credential.',
    action: 'Do not write secrets into outputs; let the next step name the credential itself.',
  });
  return { outcome: 'Failed', reason: problem.code, message: describeProblem(problem) };
};

/** The result as it leaves the thread: complete, redacted, bounded. */
export const finalVerdict = (result: ExecutorResult, secrets: SecretSet): ExecutorResult => {
  const { reason, message, outputs, signal, ...rest } =
    result.outputs !== undefined && containsSecret(result.outputs, secrets) ? secretInOutputs() : result;
  const cause = reason ?? (rest.outcome === 'Succeeded' ? undefined : defaultReasons[rest.outcome]);
  return {
    ...rest,
    ...(cause === undefined ? {} : { reason: bounded(secrets.redact(cause), 64) }),
    ...(message === undefined ? {} : { message: bounded(secrets.redact(message), messageLimit) }),
    ...(signal === undefined ? {} : { signal: bounded(secrets.redact(signal), 16) }),
    ...(outputs === undefined ? {} : { outputs }),
  };
};
