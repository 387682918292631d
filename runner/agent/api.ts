import {
  logBatchType,
  paths,
  type AcceptRequest,
  type AcceptResponse,
  type CloseRequest,
  type CredentialsResponse,
  type HostKeyRequest,
  type HostKeyResponse,
  type LogsResponse,
  type PollRequest,
  type PollResponse,
  type RecoveryRequest,
  type RecoveryResponse,
  type ReportsRequest,
  type ReportsResponse,
  type SessionRequest,
  type SessionResponse,
} from '@outrider/protocol';
import { bodyOf, objectWith, problemToError } from './answers.ts';
import type { LaneName } from './http.ts';
import type { Authorizer } from './token.ts';

/** The runner protocol, one HTTP call a method, no retries. Every method throws OutriderError. */
export interface RunnerApi {
  openSession(request: SessionRequest, signal: AbortSignal): Promise<SessionResponse>;
  /** Held by the operator for about 20 s. An error in the answer is thrown like any other. */
  poll(request: PollRequest, signal: AbortSignal, silenceMs?: number): Promise<PollResponse>;
  accept(request: AcceptRequest, signal: AbortSignal): Promise<AcceptResponse>;
  report(request: ReportsRequest, signal: AbortSignal): Promise<ReportsResponse>;
  logs(
    batch: Uint8Array,
    session: { session: string; generation: string },
    signal: AbortSignal,
  ): Promise<LogsResponse>;
  credentials(jws: string, signal: AbortSignal): Promise<CredentialsResponse>;
  /** Results that a restored ledger may have forgotten. */
  recover(request: RecoveryRequest, signal: AbortSignal): Promise<RecoveryResponse>;
  hostKeys(request: HostKeyRequest, signal: AbortSignal): Promise<HostKeyResponse>;
  close(request: CloseRequest, signal: AbortSignal): Promise<void>;
}

/**
 * @param options.silenceMs Longest time without a byte of an answer; the operator sends one every 5 s in a held poll.
 *   @default 15_000
 */
export const createRunnerApi = (authorizer: Authorizer, options: { silenceMs?: number } = {}): RunnerApi => {
  const silence = options.silenceMs === undefined ? {} : { silenceMs: options.silenceMs };
  const post = async (
    lane: LaneName,
    path: string,
    message: { body: object; signal: AbortSignal; silenceMs?: number | undefined },
  ): Promise<unknown> =>
    bodyOf(
      await authorizer.post({
        lane,
        path,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(message.body),
        signal: message.signal,
        ...(message.silenceMs === undefined ? {} : { silenceMs: message.silenceMs }),
        ...silence,
      }),
    );

  return {
    openSession: async (body, signal) =>
      objectWith<SessionResponse>(await post('control', paths.session, { body, signal }), {
        session: 'string',
        generation: 'string',
        settings: 'object',
        attempts: 'list',
      }),
    poll: async (body, signal, silenceMs) => {
      const answer = await post('poll', paths.poll, { body, signal, silenceMs });
      if (typeof answer === 'object' && answer !== null && 'error' in answer && answer.error !== undefined)
        throw problemToError(answer, 500);
      return objectWith<PollResponse>(answer, { offers: 'list', cancels: 'list' });
    },
    accept: async (body, signal) =>
      objectWith<AcceptResponse>(await post('control', paths.accept, { body, signal }), { attempts: 'list' }),
    report: async (body, signal) =>
      objectWith<ReportsResponse>(await post('reports', paths.reports, { body, signal }), {
        reports: 'list',
        offers: 'list',
      }),
    logs: async (batch, { session, generation }, signal) => {
      const response = await authorizer.post({
        lane: 'logs',
        path: paths.logs,
        headers: {
          'content-type': logBatchType,
          'outrider-session': session,
          'outrider-generation': generation,
        },
        body: batch,
        signal,
        ...silence,
      });
      return objectWith<LogsResponse>(bodyOf(response), { attempts: 'list' });
    },
    credentials: async (jws, signal) => {
      const response = await authorizer.post({
        lane: 'control',
        path: paths.credentials,
        headers: { 'content-type': 'application/jose' },
        body: jws,
        signal,
        ...silence,
      });
      return objectWith<CredentialsResponse>(bodyOf(response), {});
    },
    recover: async (body, signal) =>
      objectWith<RecoveryResponse>(await post('control', paths.recovery, { body, signal }), {}),
    hostKeys: async (body, signal) =>
      objectWith<HostKeyResponse>(await post('control', paths.hostKeys, { body, signal }), {
        key: 'string',
      }),
    close: async (body, signal) => {
      await post('control', paths.close, { body, signal });
    },
  };
};
