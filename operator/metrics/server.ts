import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Board } from '../dispatch/board.ts';
import type { RunnerDirectory } from '../dispatch/contract.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { RecoveryMode } from '../recovery/mode.ts';
import { createDelayMeter } from './event-loop.ts';
import { addTaskGauges } from './task-gauges.ts';

export interface MetricsSources {
  readonly board: Board;
  readonly directory: RunnerDirectory;
  readonly ledger: Pick<Ledger, 'diagnostics'>;
  readonly recovery: Pick<RecoveryMode, 'active'>;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

export interface MetricsServer {
  readonly port: number;
  /** From then on /readyz answers 200 and the figures are there. */
  ready(sources: MetricsSources): void;
  close(): Promise<void>;
}

const addGauges = (registry: Registry, { board, directory, ledger, recovery, now }: MetricsSources): void => {
  const gauge = (name: string, help: string, read: () => number | Promise<number>): void => {
    const metric: Gauge = new Gauge({
      name,
      help,
      registers: [registry],
      collect: async () => metric.set(await read()),
    });
  };
  addTaskGauges(registry, board, now);
  gauge('outrider_recovery_active', '1 while the ledger is in recovery and nothing is started.', () =>
    recovery.active ? 1 : 0,
  );
  gauge('outrider_open_tasks', 'Tasks that are Ready or held by a runner.', () => board.size);
  gauge(
    'outrider_runners_connected',
    'Runner sessions with an open poll.',
    () => directory.list().filter((live) => live.connected).length,
  );
  gauge(
    'outrider_ledger_commits_total',
    'Group commits of the ledger.',
    async () => (await ledger.diagnostics()).commits,
  );
  gauge('outrider_ledger_commit_p99_seconds', 'Duration of the last commits, 99th percentile.', async () => {
    const { commitMs } = await ledger.diagnostics();
    const sorted = [...commitMs].sort((a, b) => a - b);
    return (sorted[Math.floor(sorted.length * 0.99)] ?? 0) / 1000;
  });
};

const addEventLoop = (registry: Registry): (() => void) => {
  const delay = createDelayMeter();
  const metric: Gauge = new Gauge({
    name: 'outrider_event_loop_delay_p99_seconds',
    help: 'How late timers were since the start, 99th percentile.',
    registers: [registry],
    collect: () => metric.set(delay.p99() / 1000),
  });
  return delay.stop;
};

/** /metrics (Prometheus), /healthz (the process lives) and /readyz (it serves), over plain HTTP. */
export const startMetricsServer = async (options: { host: string; port: number }): Promise<MetricsServer> => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const stopDelay = addEventLoop(registry);
  let isReady = false;
  const server: Server = createServer((request, response) => {
    const answer = (status: number, body: string): void => {
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(body);
    };
    if (request.url === '/healthz') return answer(200, 'ok\n');
    if (request.url === '/readyz') return answer(isReady ? 200 : 503, isReady ? 'ok\n' : 'not serving yet\n');
    if (request.url !== '/metrics') return answer(404, 'See /metrics, /healthz or /readyz.\n');
    registry.metrics().then(
      (text) => answer(200, text),
      (error: unknown) => answer(500, `${String(error)}\n`),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(options.port, options.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    ready: (sources) => {
      addGauges(registry, sources);
      isReady = true;
    },
    close: () => {
      stopDelay();
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
};
