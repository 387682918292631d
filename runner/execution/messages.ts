import type { Problem } from '@outrider/protocol';
import type {
  ExecutorResult,
  Handle,
  RunnerMachine,
  ShownHostKey,
  StopReason,
} from '@outrider/nodes/contract';
import type { OutputProgress } from '../journal/contract.ts';
import type { ExecutionRequest } from './contract.ts';

/** Asked by the thread of the main one. Those for the journal are answered when it is durable. */
export type Question =
  /** Answered with the key on record. */
  | { readonly type: 'hostKey'; readonly shown: ShownHostKey }
  | { readonly type: 'handle'; readonly handle: Handle }
  /** All frames up to here were posted before. */
  | { readonly type: 'checkpoint'; readonly progress: OutputProgress };

/** What the thread is given when it starts. Nothing secret: secrets come with `execute`. */
export interface WorkerSettings {
  readonly machine: RunnerMachine;
  /** Module to take the executors from instead of the product's. */
  readonly executors: string | undefined;
}

export type Answer = { readonly problem: Problem } | { readonly value: string };

/** An ended attempt without its log, which the main thread seals. Redacted and bounded. */
export interface EndedAttempt extends ExecutorResult {
  readonly startedAt: string;
  readonly finishedAt: string;
}

/** `key` is the attempt's, `id` that of one question. */
export type ToWorker =
  | { readonly type: 'ping' }
  | { readonly type: 'execute'; readonly key: string; readonly request: ExecutionRequest }
  | { readonly type: 'stop'; readonly key: string; readonly reason: StopReason }
  /** The executor did not end in time: report without it. */
  | { readonly type: 'abandon'; readonly key: string; readonly reason: StopReason }
  | { readonly type: 'settled'; readonly key: string }
  /** So many bytes of frames were taken by the journal. */
  | { readonly type: 'credit'; readonly key: string; readonly bytes: number }
  | { readonly type: 'answer'; readonly id: number; readonly answer: Answer }
  | { readonly type: 'reap'; readonly id: number; readonly node: string; readonly handle: Handle }
  | {
      readonly type: 'tidy';
      readonly id: number;
      readonly request: ExecutionRequest;
      readonly handle: Handle;
    };

export type FromWorker =
  | { readonly type: 'pong' }
  | { readonly type: 'ready' }
  | { readonly type: 'entered'; readonly key: string; readonly at: number }
  /** Whole frames; their buffer is transferred. */
  | { readonly type: 'frames'; readonly key: string; readonly bytes: Uint8Array }
  | {
      readonly type: 'question';
      readonly key: string;
      readonly id: number;
      readonly question: Question;
    }
  | { readonly type: 'needsTime'; readonly key: string; readonly ms: number }
  | { readonly type: 'ended'; readonly key: string; readonly ended: EndedAttempt }
  | { readonly type: 'reaped'; readonly id: number; readonly gone: boolean };
