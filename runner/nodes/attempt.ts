import { OutriderError, type ErrorCode } from '@outrider/protocol';
import type { ExecutorResult, StopReason, TaskContext } from './contract.ts';

/** In the environment of every process of an attempt; processes that left its session are found by it. */
export const MARKER = 'OUTRIDER_ATTEMPT';

/** The step's environment, with OUTRIDER_RUN, OUTRIDER_STEP and OUTRIDER_ATTEMPT. Throws CommandInvalid for what no process can be given. */
export function attemptEnvironment({ spec, attempt }: TaskContext): Record<string, string> {
  for (const [name, value] of Object.entries(spec.input.env ?? {})) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      throw invalid(
        `env has the name ${JSON.stringify(name)}`,
        'Use letters, digits and _ only, and no digit in front.',
      );
    }
    if (value.includes('\0'))
      throw invalid(`env ${name} holds a NUL character`, 'Encode the value, for instance in base64.');
  }
  return {
    ...spec.input.env,
    OUTRIDER_RUN: spec.run,
    OUTRIDER_STEP: spec.step,
    [MARKER]: `${attempt.task}/${attempt.epoch}`,
  };
}

const invalid = (what: string, action: string): OutriderError =>
  new OutriderError({
    code: 'CommandInvalid',
    message: `The step's ${what}, which no process can be given.`,
    action,
  });

/** `bash -e` → program and arguments; split at white space, no quoting. */
export function interpreterWords(interpreter: string | undefined): [program: string, ...args: string[]] {
  const [program = '/bin/sh', ...args] = (interpreter ?? '').split(/\s+/).filter((word) => word !== '');
  return [program, ...args];
}

/** The script of an input that must have one. */
export function requireScript({ spec }: TaskContext): string {
  if (spec.input.script !== undefined) return spec.input.script;
  throw new OutriderError({
    code: 'CommandInvalid',
    message: `Step ${spec.step} has no script.`,
    action: `Set script on the step; ${spec.node} runs nothing else.`,
  });
}

export interface ProcessEnd {
  readonly code: number | undefined;
  readonly signal: string | undefined;
}

/** What ran is named by `what`, such as "The script". */
export function endResult({ code, signal }: ProcessEnd, what: string): ExecutorResult {
  if (signal !== undefined) {
    return {
      outcome: 'Failed',
      signal,
      reason: 'KilledBySignal',
      message: `${what} was ended by ${signal}.`,
    };
  }
  if (code === 0) return { outcome: 'Succeeded', exitCode: 0 };
  return {
    outcome: 'Failed',
    ...(code === undefined ? {} : { exitCode: code }),
    reason: 'NonZeroExit',
    message: `${what} ended with exit code ${code ?? 'unknown'}.`,
  };
}

/** Result of an attempt that was stopped. `left` says what outlived the kill, if anything did. */
export function stopResult(signal: AbortSignal, left?: string): ExecutorResult {
  const reason: ErrorCode = stopReason(signal) === 'TimedOut' ? 'TimedOut' : 'Cancelled';
  const what = reason === 'TimedOut' ? 'The step took longer than its timeout' : 'The step was cancelled';
  const unconfirmed = left !== undefined;
  return {
    outcome: reason,
    reason,
    message: unconfirmed ? `${what}; ${left}.` : `${what}, and nothing of it is left running.`,
    ...(unconfirmed ? { unconfirmed } : {}),
  };
}

function stopReason(signal: AbortSignal): StopReason {
  const reason: unknown = signal.reason;
  return reason === 'TimedOut' || reason === 'Abandoned' ? reason : 'Cancelled';
}

/** Resolves when the signal has aborted. */
export const aborted = (signal: AbortSignal): Promise<'stopped'> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve('stopped');
    else signal.addEventListener('abort', () => resolve('stopped'), { once: true });
  });
