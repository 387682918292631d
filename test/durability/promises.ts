import {
  attemptKey,
  decodeLogBatch,
  paths,
  type AcceptRequest,
  type AcceptResponse,
  type AttemptRef,
  type LogsResponse,
  type ReportsRequest,
  type ReportsResponse,
  type TaskResult,
} from '@outrider/protocol';
import type { Exchange } from './exchanges.ts';

/** What a program said to another one, and must therefore still know after a power cut. */
export type Promised =
  | { readonly kind: 'Accepted' | 'Started'; readonly ref: AttemptRef }
  | { readonly kind: 'Result'; readonly ref: AttemptRef; readonly result: TaskResult }
  /** So many bytes of its log are held. */
  | { readonly kind: 'Log'; readonly ref: AttemptRef; readonly offset: number };

export interface Said {
  readonly promised: Promised;
  /** When the request that it is about was whole. */
  readonly since: number;
  /** When the first byte of it left. */
  readonly at: number;
}

const parse = (body: Buffer): unknown => JSON.parse(body.toString());

const refOf = ({ task, epoch }: AttemptRef): AttemptRef => ({ task, epoch });

const reported = ({ request, answer }: Exchange): Promised[] => {
  const { reports } = parse(request) as ReportsRequest;
  const answers = (parse(answer) as ReportsResponse).reports;
  return reports.flatMap((report, i): Promised[] => {
    const ref = refOf(report);
    // A duplicate was promised when it was recorded.
    if (answers[i]?.status !== 'Recorded') return [];
    if (report.kind === 'Started') return [{ kind: 'Started', ref }];
    return report.result === undefined ? [] : [{ kind: 'Result', ref, result: report.result }];
  });
};

const accepted = ({ answer }: Exchange): Promised[] =>
  (parse(answer) as AcceptResponse).attempts.flatMap((item): Promised[] =>
    item.status !== 'Recorded' ? [] : [{ kind: 'Accepted', ref: refOf(item) }],
  );

const logged = ({ answer }: Exchange): Promised[] =>
  (parse(answer) as LogsResponse).attempts.flatMap((item): Promised[] =>
    item.error === undefined ? [{ kind: 'Log', ref: refOf(item), offset: item.offset }] : [],
  );

const answersOf: Readonly<Record<string, (exchange: Exchange) => Promised[]>> = {
  [paths.accept]: accepted,
  [paths.reports]: reported,
  [paths.logs]: logged,
};

/** Leaves out what says no more of a log than an answer before it. */
const withoutRepeats = (said: readonly Said[]): Said[] => {
  const held = new Map<string, number>();
  return said.filter(({ promised }) => {
    if (promised.kind !== 'Log') return true;
    const key = attemptKey(promised.ref);
    const more = promised.offset > (held.get(key) ?? 0);
    if (more) held.set(key, promised.offset);
    return more;
  });
};

/** What the operator acknowledged. */
export const saidByOperator = (exchanges: readonly Exchange[]): Said[] =>
  withoutRepeats(acknowledged(exchanges));

const acknowledged = (exchanges: readonly Exchange[]): Said[] =>
  exchanges
    .filter(({ status }) => status === 200)
    .flatMap((exchange) =>
      (answersOf[exchange.path]?.(exchange) ?? []).map((promised) => ({
        promised,
        since: exchange.arrived,
        at: exchange.answered,
      })),
    );

/** What the runner told of itself: that it takes an attempt on, has begun it, and how it ended. */
export const saidByRunner = (exchanges: readonly Exchange[]): Said[] =>
  exchanges
    .filter(({ status }) => status === 200)
    .flatMap((exchange) => {
      const { path, request, asked } = exchange;
      const taken =
        path === paths.accept
          ? (parse(request) as AcceptRequest).attempts.map((ref): Promised => ({
              kind: 'Accepted',
              ref: refOf(ref),
            }))
          : path === paths.reports
            ? reported(exchange)
            : [];
      return taken.map((promised) => ({ promised, since: 0, at: asked }));
    });

/** Every byte of log that was sent for acknowledged offsets, by attempt. */
export const sentLogs = (exchanges: readonly Exchange[]): Map<string, Buffer> => {
  const logs = new Map<string, Buffer>();
  for (const { path, status, request } of exchanges) {
    if (path !== paths.logs || status !== 200) continue;
    for (const chunk of decodeLogBatch(request)) {
      const key = attemptKey(chunk);
      const held = logs.get(key) ?? Buffer.alloc(0);
      if (chunk.offset > held.length) throw new Error(`a gap at byte ${held.length} of the log of ${key}`);
      logs.set(key, Buffer.concat([held.subarray(0, chunk.offset), chunk.bytes]));
    }
  }
  return logs;
};
