import { Readable } from 'node:stream';
import { Closed, Flag, Integer, Maybe, Text, type Static } from '@outrider/schema';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { AttemptRef, TaskRecord } from '../ledger/records.ts';
import type { LogLine } from '../logs/contract.ts';
import { logEnd } from './log-end.ts';
import { followRun, lineView } from './follow.ts';
import type { Guard } from './guard.ts';
import { attemptsOf, findRun, tasksOf, type Sources } from './reader.ts';

const RunParams = Closed({ namespace: Text({ maxLength: 63 }), name: Text({ maxLength: 253 }) });
type RunParams = Static<typeof RunParams>;
const Attempt = (others: string) =>
  Maybe(
    Integer({ description: `Only this attempt of each task; ${others}.`, minimum: 1, maximum: 1_000_000 }),
  );
const LogQuery = Closed({
  step: Maybe(Text({ description: 'Only this step.', maxLength: 63 })),
  attempt: Attempt('each of the last 20 when absent, one after the other; not with follow'),
  follow: Maybe(
    Flag({ description: 'Server-sent events until the run has ended; else NDJSON of what is there.' }),
  ),
  after: Maybe(
    Text({
      description:
        'Ids of the last lines received, TASK.EPOCH.LINE, separated by commas: goes on behind them.',
      maxLength: 8192,
    }),
  ),
  limit: Maybe(
    Integer({
      description: 'At most this many lines for each task, the last ones of its last attempt.',
      minimum: 1,
      maximum: 1_000_000,
    }),
  ),
});
type LogQuery = Static<typeof LogQuery>;
const RawQuery = Closed({
  step: Maybe(Text({ description: 'Only this step.', maxLength: 63 })),
  target: Maybe(Text({ description: 'Only this target.', maxLength: 253 })),
  attempt: Attempt('the last one when absent'),
});
type RawQuery = Static<typeof RawQuery>;

export interface LogRouteOptions {
  readonly sources: Sources;
  readonly guard: Guard;
  readonly now: () => number;
  /** Ends every stream when the server stops. */
  readonly stopping: AbortSignal;
}

/** `TASK.EPOCH.LINE,…` as the next line to send by `TASK/EPOCH`. */
export const parseAfter = (after: string | undefined): Map<string, number> =>
  new Map(
    (after ?? '').split(',').flatMap((id) => {
      const [, task, epoch, line] = /^([^.]+)\.(\d{1,10})\.(\d{1,10})$/.exec(id) ?? [];
      return task && epoch && line ? [[`${task}/${epoch}`, Number(line) + 1] as const] : [];
    }),
  );

const pageLines = 1000;

interface Reading {
  readonly sources: Sources;
  readonly params: RunParams;
  readonly now: () => number;
  readonly signal: AbortSignal;
}

async function* linesOf(
  logs: Sources['logs'],
  ref: AttemptRef,
  limit: number | undefined,
): AsyncGenerator<LogLine> {
  let from = limit === undefined ? 0 : Math.max(0, (await logs.state(ref)).lines - limit);
  for (;;) {
    const page = await logs.lines(ref, { from, limit: pageLines });
    yield* page;
    from += page.length;
    if (page.length < pageLines) return;
  }
}

async function* storedLines(reading: Reading, query: LogQuery): AsyncGenerator<string> {
  const { sources, params } = reading;
  const run = findRun(sources, params.namespace, params.name);
  const known = await sources.ledger.readRun(run.metadata.uid);
  for (const task of tasksOf(known, run, query.step)) {
    await logEnd(task, { ...reading, logs: sources.logs });
    // The last lines are those of the last attempt.
    const attempt = query.attempt ?? (query.limit === undefined ? undefined : task.epoch);
    for (const ref of attemptsOf(task, attempt))
      for await (const line of linesOf(sources.logs, ref, query.limit))
        yield `${JSON.stringify(lineView(task, ref, line))}\n`;
  }
}

/** Bytes bear no labels, so those of a step are not mixed with those of its verify. */
const isRead = ({ probeOf, target }: TaskRecord, wanted: string | undefined): boolean =>
  probeOf === null && (wanted === undefined || target === wanted);

async function* rawBytes(reading: Reading, query: RawQuery): AsyncGenerator<Uint8Array> {
  const { sources, params } = reading;
  const run = findRun(sources, params.namespace, params.name);
  const known = await sources.ledger.readRun(run.metadata.uid);
  for (const task of tasksOf(known, run, query.step)) {
    if (!isRead(task, query.target)) continue;
    await logEnd(task, { ...reading, logs: sources.logs });
    for (const ref of attemptsOf(task, query.attempt ?? task.epoch)) yield* sources.logs.raw(ref);
  }
}

/** Aborts when the client goes away or the server stops. */
const endOf = (request: FastifyRequest, stopping: AbortSignal): AbortSignal => {
  const gone = new AbortController();
  request.raw.once('close', () => gone.abort());
  request.raw.socket.once('close', () => gone.abort());
  return AbortSignal.any([gone.signal, stopping]);
};

/** Logs as lines (NDJSON), as a live stream (server-sent events), and as the bytes that the process wrote. */
export const logRoutes = (app: FastifyInstance, options: LogRouteOptions): void => {
  const { sources, guard } = options;
  const access = ({ namespace, name }: RunParams) => ({
    verb: 'get',
    resource: 'workflowruns',
    subresource: 'log',
    namespace,
    name,
  });

  app.get<{ Params: RunParams; Querystring: LogQuery }>(
    '/api/v1/namespaces/:namespace/workflowruns/:name/log',
    { schema: { summary: 'Read or follow the log of a run', params: RunParams, querystring: LogQuery } },
    async (request, reply) => {
      const { params, query } = request;
      const user = await guard.require(request, access(params));
      findRun(sources, params.namespace, params.name);
      const signal = endOf(request, options.stopping);
      if (query.follow !== true) {
        const lines = storedLines({ sources, params, signal, now: options.now }, query);
        return reply.type('application/x-ndjson').send(Readable.from(lines));
      }
      const events = followRun({
        sources,
        ...params,
        step: query.step,
        cursors: parseAfter(query.after),
        signal,
        now: options.now,
        recheck: () => guard.check(user, access(params)),
      });
      return reply.type('text/event-stream').send(Readable.from(events));
    },
  );

  app.get<{ Params: RunParams; Querystring: RawQuery }>(
    '/api/v1/namespaces/:namespace/workflowruns/:name/log/raw',
    {
      schema: {
        summary: 'Bytes of stdout and stderr in the order of their arrival',
        params: RunParams,
        querystring: RawQuery,
      },
    },
    async (request, reply) => {
      const { params, query } = request;
      await guard.require(request, access(params));
      findRun(sources, params.namespace, params.name);
      const signal = endOf(request, options.stopping);
      const bytes = rawBytes({ sources, params, signal, now: options.now }, query);
      return reply.type('application/octet-stream').send(Readable.from(bytes, { objectMode: false }));
    },
  );
};
