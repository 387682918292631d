import { randomUUID } from 'node:crypto';
import {
  attemptKey,
  maxBatch,
  OutriderError,
  type AttemptAnswer,
  type AttemptRef,
  type LogChunk,
  type AcceptResponse,
  type LogsResponse,
  type PollRequest,
  type PollResponse,
  type Report,
  type ReportsRequest,
  type ReportsResponse,
  type SessionRequest,
  type SessionResponse,
} from '@outrider/protocol';
import type { Ledger } from '../ledger/ledger.ts';
import { terminalStates, type TaskRecord } from '../ledger/records.ts';
import type { LogStore } from '../logs/contract.ts';
import type { RecoveryMode } from '../recovery/mode.ts';
import type { Board } from './board.ts';
import type { AuthenticatedRunner, Dispatch } from './contract.ts';
import { createCustody } from './custody.ts';
import { generationMismatch, revoked } from './errors.ts';
import { learnHostKey } from './host-keys.ts';
import type { Matcher } from './offers.ts';
import { holdPoll, noteAbandoned, reviewHeld } from './poll.ts';
import { noteContact, type Session } from './session.ts';
import type { Sessions } from './sessions.ts';
import { settingsOf, type Times } from './times.ts';

export interface DispatchOptions {
  readonly ledger: Ledger;
  readonly logs: LogStore;
  readonly board: Board;
  readonly sessions: Sessions;
  readonly matcher: Matcher;
  readonly times: Times;
  readonly recovery: Pick<RecoveryMode, 'active' | 'enter'>;
  readonly now: () => number;
  /** ±10 % of spread over the poll time; 0 to 1. */
  readonly random: () => number;
  /** Takes up a session that another replica of the operator opened; absent where there is one replica. */
  readonly takeUp?: (runner: AuthenticatedRunner, session: string) => Promise<void>;
}

/** The runner protocol over ledger and board. Order everywhere: commit to the ledger, then the board, then the answer. */
export const createDispatch = (options: DispatchOptions): Dispatch => {
  const { ledger, logs, board, sessions, matcher, times, recovery, now } = options;
  const settings = settingsOf(times);
  const custody = createCustody(options);

  const current = async (runner: AuthenticatedRunner, id: string): Promise<Session> => {
    const isNew = options.takeUp !== undefined && sessions.bySession(runner.clientId)?.speaker.session !== id;
    if (isNew) await options.takeUp(runner, id);
    const session = sessions.current(runner, id);
    if (isNew) for (const task of board.heldBy(runner.clientId)) noteCancel(session, task);
    return session;
  };

  const check = async (
    runner: AuthenticatedRunner,
    envelope: { session: string; generation: string },
  ): Promise<Session> => {
    if (envelope.generation !== ledger.generation) throw generationMismatch();
    return current(runner, envelope.session);
  };

  const openSession = async (
    runner: AuthenticatedRunner,
    request: SessionRequest,
  ): Promise<SessionResponse> => {
    sessions.guardAgainstClones(runner);
    const speaker = { clientId: runner.clientId, runnerName: runner.name, session: randomUUID() };
    const identity = await ledger.readRunnerIdentity(runner.clientId);
    const limits = [identity?.requestedTags ?? null, identity?.permittedTags ?? null];
    // Nothing is awaited from the commit to the board: what other commands say of these tasks next must not be overwritten.
    const { inventory, ...said } = request;
    const { tasks, answers, ahead } = await ledger.openSession({
      by: speaker,
      inventory,
      hello: said,
      now: now(),
      leaseExpiresAt: now() + times.leaseMs,
    });
    if (ahead.length > 0) await enterRecovery(runner, ahead);
    const session = sessions.open(runner, request, { session: speaker.session, limits });
    board.apply(tasks);
    for (const task of board.heldBy(runner.clientId)) noteCancel(session, task);
    const attempts = await Promise.all(
      answers.map(async (answer) => ({ ...answer, logOffset: (await logs.state(answer)).offset })),
    );
    return {
      session: speaker.session,
      generation: ledger.generation,
      settings,
      attempts,
      ...(recovery.active ? { recovering: true } : {}),
    };
  };

  /** @throws OutriderError GenerationMismatch always: the runner is to open a session with the restored ledger. */
  const enterRecovery = async (
    runner: AuthenticatedRunner,
    [first]: readonly AttemptRef[],
  ): Promise<never> => {
    await recovery.enter(
      `A copy of the ledger was put back: runner ${runner.namespace}/${runner.name} holds epoch ${first?.epoch} of task ${first?.task}, which this ledger has not given out.`,
    );
    throw generationMismatch();
  };

  const renewAndMark = async (session: Session, request: PollRequest): Promise<void> => {
    const given = board.heldBy(session.runner.clientId);
    const { renew, missing } = reviewHeld(session, request, given, { now: now(), leaseMs: times.leaseMs });
    const refs = (tasks: readonly TaskRecord[]) => tasks.map(({ id, epoch }) => ({ task: id, epoch }));
    if (renew.length > 0) {
      const renewed = await ledger.renewLeases({
        by: session.speaker,
        attempts: refs(renew),
        leaseExpiresAt: now() + times.leaseMs,
      });
      board.apply(renewed.tasks);
    }
    if (missing.length === 0) return;
    const reason = `Runner ${session.runner.name} did not list it in two polls in a row.`;
    board.apply((await ledger.markUnknown({ attempts: refs(missing), now: now(), reason })).tasks);
  };

  const poll = async (
    runner: AuthenticatedRunner,
    request: PollRequest,
    signal: AbortSignal,
  ): Promise<PollResponse> => {
    const session = await check(runner, request);
    if (noteContact(session, request, now())) sessions.changed(session);
    await renewAndMark(session, request);
    const its = await custody.stillIts(runner.clientId, request.held);
    noteAbandoned(session, request, (ref) => its.has(attemptKey(ref)));
    const ms = times.pollMs * (0.9 + 0.2 * options.random());
    try {
      return await holdPoll(session, { now, signal, ms, settings, onOpen: () => matcher.pump() });
    } finally {
      session.lastContact = now();
    }
  };

  /** Polls are far apart: between them the ledger knows better what the runner holds. */
  const noteLoad = (session: Session): void => {
    session.load = board.heldBy(session.runner.clientId).filter(({ state }) => state !== 'Offered').length;
  };

  const accept: Dispatch['accept'] = async (runner, request): Promise<AcceptResponse> => {
    const session = await check(runner, request);
    const at = now();
    const { tasks, answers } = await ledger.acceptAttempts({
      by: session.speaker,
      attempts: request.attempts,
      now: at,
      leaseExpiresAt: at + times.leaseMs,
    });
    throwIfSuperseded(answers);
    session.lastContact = at;
    board.apply(tasks);
    noteLoad(session);
    return { attempts: [...answers] };
  };

  /** Repeated results too: the operator may have ended between the commit of the result and that of the log's end. */
  const settleLogs = async (reports: readonly Report[], answers: readonly AttemptAnswer[]): Promise<void> => {
    const sealed = reports.flatMap(({ kind, task, epoch, result }, i) =>
      kind === 'Result' && result && answers[i]?.status !== 'Refused'
        ? [logs.seal({ task, epoch }, result.log)]
        : [],
    );
    await Promise.all(sealed);
  };

  const report = async (runner: AuthenticatedRunner, request: ReportsRequest): Promise<ReportsResponse> => {
    const session = await check(runner, request);
    session.lastContact = now();
    const { tasks, answers } = await ledger.recordReports({
      by: session.speaker,
      reports: request.reports,
      now: now(),
    });
    throwIfSuperseded(answers);
    for (const { task, epoch } of request.reports) {
      const known = board.get(task);
      if (known && known.epoch === epoch && known.state !== 'Running')
        session.unlisted.delete(attemptKey({ task, epoch }));
    }
    board.apply(tasks);
    noteLoad(session);
    await settleLogs(request.reports, answers);
    const offers = await matcher.offerTo(session, Math.min(request.free ?? 0, maxBatch));
    matcher.pump();
    return { reports: [...answers], offers };
  };

  const noteCancel = (session: Session, task: TaskRecord): void => {
    const ref = { task: task.id, epoch: task.epoch };
    const key = attemptKey(ref);
    const stop = task.cancelRequested && (task.state === 'Claimed' || task.state === 'Running');
    if (!stop) {
      session.cancels.delete(key);
      session.cancelsSent.delete(key);
      return;
    }
    if (session.cancels.has(key)) return;
    session.cancels.set(key, { ...ref, reason: 'Cancelled' });
    session.poll?.wake();
  };

  /** A log may trail its result, so the ledger is asked about tasks that the board no longer holds. */
  const sortChunks = async (runner: AuthenticatedRunner, chunks: readonly LogChunk[]) => {
    const mine: LogChunk[] = [];
    const refused: LogChunk[] = [];
    for (const chunk of chunks) {
      const owned = await custody.find(runner.clientId, chunk);
      (owned ? mine : refused).push(chunk);
    }
    return { mine, refused };
  };

  board.onTask((task) => {
    const session = task.runner === null ? undefined : sessions.bySession(task.runner);
    if (session) noteCancel(session, task);
    // It may be offered, or it has left a slot to another.
    if (task.state === 'Ready' || terminalStates.has(task.state)) matcher.pump();
  });

  return {
    openSession,
    poll,
    accept,
    report,
    logs: async (runner, session, chunks): Promise<LogsResponse> => {
      (await current(runner, session)).lastContact = now();
      const { mine, refused } = await sortChunks(runner, chunks);
      return { attempts: [...(await logs.append(mine)), ...refused.map(refuseLog)] };
    },
    closeSession: async (runner, request) => {
      const session = await check(runner, request);
      session.closed = true;
      session.lastContact = now();
      session.poll?.drop();
      sessions.changed(session);
    },
    recover: async (runner, request) => {
      const session = await check(runner, request);
      session.lastContact = now();
      const { tasks, accepted } = await ledger.recordRecovery({
        by: session.speaker,
        items: request.items,
        now: now(),
      });
      board.apply(tasks);
      return { accepted };
    },
    learnHostKey: async (runner, request) => {
      await check(runner, request);
      const task = await custody.requireActive(runner.clientId, request);
      return learnHostKey(ledger, runner, { task, request, now: now() });
    },
    authorizeSecrets: async (runner, request) => {
      await check(runner, request);
      return custody.requireActive(runner.clientId, request);
    },
    revoke: (clientId) => {
      const session = sessions.all().find(({ runner }) => runner.clientId === clientId);
      if (session) sessions.remove(clientId, revoked(session.runner));
    },
  };
};

/**
 * A newer session was committed while this call was on its way. That is an answer to the call and not to its attempts: a
 * runner takes a refused result for one that nobody wants, and drops it, where it is to send it again under the new session.
 */
const throwIfSuperseded = (answers: readonly AttemptAnswer[]): void => {
  for (const { error } of answers) {
    const code = error?.code;
    if (error && (code === 'SessionSuperseded' || code === 'SessionUnknown'))
      throw new OutriderError({ ...error, code });
  }
};

const refuseLog = (chunk: { task: string; epoch: number; offset: number }) => ({
  task: chunk.task,
  epoch: chunk.epoch,
  offset: chunk.offset,
  error: {
    code: 'EpochMismatch',
    message: `The log of task ${chunk.task}, epoch ${chunk.epoch}, belongs to another runner.`,
    action: 'Drop this attempt.',
  },
});
