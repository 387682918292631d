import {
  attemptKey,
  type AttemptRef,
  type OutriderError,
  type SessionRequest,
  type SessionResponse,
} from '@outrider/protocol';
import { isReattachable } from '@outrider/nodes/contract';
import type { ExecutionHost } from '../execution/contract.ts';
import type { Journal } from '../journal/contract.ts';
import { createCredentialSource } from '../secrets/credentials.ts';
import { createAcceptor, type Acceptor } from './accept.ts';
import { createRunnerApi, type RunnerApi } from './api.ts';
import { createAttempts, type Attempt, type Attempts } from './attempts.ts';
import { drain } from './drain.ts';
import type { ProxySettings } from './exchange.ts';
import { createHandIn, type HandIn } from './hand-in.ts';
import type { Transport } from './http.ts';
import { createHostKeys } from './host-keys.ts';
import type { RunnerKey } from './key.ts';
import { createLeaseGuard } from './lease-guard.ts';
import { createLeases } from './leases.ts';
import { problemFields, type Logger } from './log.ts';
import { createLogLoop } from './log-loop.ts';
import { createOperatorSettings } from './operator-settings.ts';
import { createHealthLog, createPersist } from './persist.ts';
import { createPollLoop } from './poll-loop.ts';
import { createRecovery, inventoryOf, type Recovery } from './recover.ts';
import { createReportLoop } from './report-loop.ts';
import { createResults } from './results.ts';
import { createSelfCheck } from './self-check.ts';
import { createSessions, type Sessions } from './session.ts';
import { createStarter } from './start.ts';
import { createAuthorizer } from './token.ts';

export interface AgentOptions {
  readonly transport: Transport;
  readonly key: RunnerKey;
  readonly clientId: string;
  readonly journal: Journal;
  readonly host: ExecutionHost;
  readonly session: Omit<SessionRequest, 'inventory'>;
  readonly proxy?: ProxySettings;
  readonly drainTimeoutMs: number;
  readonly logger: Logger;
  /** Longest time without a byte of an answer. @default 15_000 */
  readonly silenceMs?: number;
}

/** How the agent ended. `Fatal` carries why. */
export type AgentEnd =
  | { readonly kind: 'Drained'; readonly delivered: boolean }
  | { readonly kind: 'Fatal'; readonly error: OutriderError };

export interface Agent {
  /** Works until it is drained or cannot go on. */
  run(): Promise<AgentEnd>;
  /** First call: finish what runs, or hand it over when the time is up. Second: end it now. Third: leave at once. */
  interrupt(): void;
}

/** Those of the inventory whose leases the new session renews. */
const continued = ({ attempts }: SessionResponse): AttemptRef[] =>
  attempts.filter(({ decision }) => decision === 'Continue');

/** Takes an attempt from this process whose work goes on by itself. */
const createHandOver =
  (journal: Journal, attempts: Attempts) =>
  (attempt: Attempt): boolean => {
    const item = journal.attempts().find((each) => attemptKey(each) === attempt.key);
    if (item?.handle === undefined || !isReattachable(item.handle)) return false;
    attempt.stop.abort('HandedOver');
    attempts.remove(attempt);
    return true;
  };

/** How long killed work may take to end. */
const killMs = 15_000;

/** Joins the loops. Each ends on `stop`, which only the end of a drain or a fatal error aborts. */
export const createAgent = (options: AgentOptions): Agent => {
  const { journal, host, logger } = options;
  const stopping = new AbortController();
  const draining = new AbortController();
  const hurrying = new AbortController();
  const leaving = new AbortController();
  const stop = stopping.signal;
  const { capacity } = options.session;
  const { promise: ended, resolve: end } = Promise.withResolvers<AgentEnd>();

  const api: RunnerApi = createRunnerApi(
    createAuthorizer({ transport: options.transport, key: options.key, clientId: options.clientId }),
    options.silenceMs === undefined ? {} : { silenceMs: options.silenceMs },
  );
  const attempts: Attempts = createAttempts({ capacity, journal, logger });
  const settings = createOperatorSettings();
  const handOver = createHandOver(journal, attempts);
  const leases = createLeases({ attempts, settings, stop, logger });
  /** What runs is finished; a new process then rereads what the disk really holds. */
  let broken: OutriderError | undefined;
  const taking = (): boolean => !draining.signal.aborted && !stop.aborted;
  /** What runs needs what is left of the disk. */
  const accepting = (): boolean => taking() && !journal.full();

  const fatal = (error: OutriderError): void => {
    if (stop.aborted) return;
    logger.error('the runner ends', problemFields(error));
    // This runner no longer acts for anybody: what it runs must not go on unseen.
    for (const attempt of attempts.all()) if (attempt.phase !== 'Finished') attempt.stop.abort('Abandoned');
    stopping.abort();
    end({ kind: 'Fatal', error });
  };

  const health = createHealthLog(logger);
  // The loops below know each other; what is called later is reached through these.
  const late: { acceptor?: Acceptor; recovery?: Recovery; handIn?: HandIn } = {};
  const sessions: Sessions = createSessions({
    api,
    request: options.session,
    inventory: () => inventoryOf(journal),
    now: () => leases.now(),
    opened: (response, sentAt) => {
      settings.apply(response.settings);
      late.recovery?.apply(response);
      leases.renewed(continued(response), sentAt);
      late.handIn?.apply(response);
    },
    fatal,
    stop,
    health,
    logger,
  });
  const persist = createPersist({ sessions, stop, health });
  const offers: Acceptor['take'] = (list) => late.acceptor?.take(list);

  const join = (): (() => Promise<void>) => {
    const free = (): number => (accepting() ? attempts.free : 0);
    const reports = createReportLoop({ api, persist, free, offers, stop, logger });
    const logs = createLogLoop({ api, persist, journal, attempts, stop, logger });
    const results = createResults({ journal, attempts, reports, logs, logger });
    const guard = createLeaseGuard({ revalidate: () => sessions.reopen(), stop, logger });
    const credentials = createCredentialSource({
      api,
      key: options.key,
      persist,
      ...(options.proxy === undefined ? {} : { proxy: options.proxy }),
    });
    const { nodes } = options.session;
    const starter = createStarter({
      journal,
      host,
      credentials,
      hostKeys: createHostKeys({ api, persist }),
      attempts,
      reports,
      results,
      guard,
      nodes,
      taking,
      stop,
      logger,
    });
    late.acceptor = createAcceptor({
      api,
      persist,
      session: () => sessions.current(),
      journal,
      attempts,
      reports,
      starter,
      host,
      leases,
      taking: accepting,
      failed: (error) => {
        broken ??= error;
        draining.abort();
      },
      stop,
      logger,
    });
    late.recovery = createRecovery({ journal, host, attempts, results, starter, logs, logger });
    late.handIn = createHandIn({ api, persist, journal, stop, logger });
    const selfCheck = createSelfCheck(journal);
    const poll = createPollLoop({
      api,
      persist,
      attempts,
      capacity: () => (journal.full() ? Math.min(attempts.load, capacity) : capacity),
      draining: () => draining.signal.aborted,
      accepting: () => late.acceptor?.answered() ?? Promise.resolve(),
      selfCheck,
      leases,
      settings,
      offers,
      stop: AbortSignal.any([stop, leaving.signal]),
      logger,
    });
    draining.signal.addEventListener('abort', () => {
      poll.refresh();
      const { drainTimeoutMs: timeoutMs } = options;
      drain({ attempts, reports, timeoutMs, handOver, hurry: hurrying.signal, stop, logger }).then(
        leave,
        (error: unknown) => {
          logger.error('the drain failed', { reason: String(error) });
          void leave(false);
        },
      );
    });
    return async () => {
      await Promise.all([poll.run(), reports.run(), logs.run(), guard.run(), leases.run()]);
      selfCheck.close();
    };
  };

  const sayGoodBye = async (): Promise<void> => {
    const session = await sessions.current();
    if (session === undefined) return;
    const { session: id, generation } = session;
    await api
      .close({ session: id, generation }, AbortSignal.any([stop, AbortSignal.timeout(5000)]))
      .catch(() => undefined);
  };

  const leave = async (delivered: boolean): Promise<void> => {
    if (stop.aborted) return;
    // A poll after the good-bye would bring this runner back online.
    leaving.abort();
    await Promise.race([sayGoodBye(), new Promise((resolve) => setTimeout(resolve, 5000).unref())]);
    stopping.abort();
    if (!delivered)
      logger.warn('leaving at once: what is not reported is left to the next process', {
        running: attempts.load,
      });
    end(broken === undefined ? { kind: 'Drained', delivered } : { kind: 'Fatal', error: broken });
  };

  const loops = join();
  return {
    run: async () => {
      const running = loops();
      const result = await ended;
      await running;
      // After a fatal error what was running is being killed; its handles must not be lost before it is gone.
      const patience = { milliseconds: killMs, signal: new AbortController().signal };
      await attempts.until(() => attempts.load === 0, patience);
      return result;
    },
    interrupt: () => {
      if (!draining.signal.aborted) return draining.abort();
      if (!hurrying.signal.aborted) return hurrying.abort();
      void leave(false);
    },
  };
};
