import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSecureContext } from 'node:tls';
import type { Offer } from '@outrider/protocol';
import { createBackoff } from '@outrider/runner/agent/waits';
import { createLogWriter, type LogWriter } from '../harness/log-writer.ts';
import { serveParent } from '../harness/rpc.ts';
import { SimulatedRunner } from '../harness/simulated-runner.ts';
import type { Credentials, Server } from '../harness/site.ts';

export interface FleetStart extends Server {
  /** The registrar's. */
  readonly file: string;
  readonly from: number;
  readonly to: number;
  readonly capacity: number;
  /** Runners that begin to connect each second. */
  readonly perSecond: number;
  /** False for a server that knows polls alone. */
  readonly sessions: boolean;
}

/** Half of a token's life: renewals are spread over it, as they are among runners that did not start together. */
const renewalMs = 150_000;
const runners: SimulatedRunner[] = [];
const arrivals: [task: string, at: number][] = [];
const failures = new Map<string, number>();
const ending = new AbortController();
/** Set while attempts write logs instead of ending at once. */
let writer: LogWriter | undefined;

const note = (error: unknown): void => {
  const text = error instanceof Error ? error.message : String(error);
  failures.set(text, (failures.get(text) ?? 0) + 1);
};

const carryOut = async (runner: SimulatedRunner, offers: readonly Offer[]): Promise<void> => {
  if (offers.length === 0) return;
  const at = Date.now();
  for (const { task } of offers) arrivals.push([task, at]);
  const refs = await runner.accept(offers);
  if (refs.length === 0) return;
  carryOut(runner, await runner.start(refs)).catch(note);
  if (writer !== undefined) return writer.take(runner, refs);
  carryOut(runner, await runner.finish(refs)).catch(note);
};

const live = async (runner: SimulatedRunner, sessions: boolean): Promise<void> => {
  const backoff = createBackoff();
  while (!ending.signal.aborted) {
    try {
      if (sessions && !runner.hasSession) await runner.openSession();
      const { offers } = await runner.poll();
      backoff.reset();
      carryOut(runner, offers).catch(note);
    } catch (error) {
      note(error);
      await sleep(backoff.next());
    }
  }
};

/** Returns when the last one has begun. */
const start = async (options: FleetStart): Promise<void> => {
  const { port, caPem, capacity, perSecond } = options;
  const context = createSecureContext({ ca: caPem, minVersion: 'TLSv1.3' });
  const all = JSON.parse(readFileSync(options.file, 'utf8')) as Credentials[];
  const begun = performance.now();
  for (const [index, credentials] of all.slice(options.from, options.to).entries()) {
    const early = (index * 1000) / perSecond - (performance.now() - begun);
    if (early > 1) await sleep(early);
    const renewAt = options.sessions ? Date.now() + Math.random() * renewalMs : Infinity;
    const runner = new SimulatedRunner({ credentials, port, context, capacity, renewAt });
    runners.push(runner);
    void live(runner, options.sessions);
  }
};

const handlers = {
  start,
  /** When each offer arrived, in milliseconds since the Unix epoch; forgotten by being asked. */
  takeArrivals: () => arrivals.splice(0),
  /** What went wrong, and how often. */
  failures: () => [...failures],
  cut: () => {
    for (const runner of runners) runner.cut();
  },
  writeLogs: ({ bytesPerAttempt }: { bytesPerAttempt: number }) => {
    writer = createLogWriter({ bytesPerAttempt, onError: note });
  },
  written: () => writer?.written() ?? 0,
  stop: () => {
    ending.abort();
    for (const runner of runners) runner.cut();
  },
};
export type FleetHandlers = typeof handlers;
serveParent(handlers);
