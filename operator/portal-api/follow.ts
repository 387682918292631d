import type { LineView, RunView } from '@outrider/portal';
import { attemptKey, toProblem, type AttemptRef } from '@outrider/protocol';
import { terminalStates, type RunAndTasks, type TaskRecord } from '../ledger/records.ts';
import type { LogLine } from '../logs/contract.ts';
import { hasTrail, trailMs } from './log-end.ts';
import { attemptsOf, tasksOf, viewTask, type Sources } from './reader.ts';
import { runView } from './views.ts';

const pageLines = 500;
/** A comment line is sent after this much silence. */
const keepaliveMs = 10_000;
/** The user's permission is asked for again when the last answer is this old, however busy the stream is. */
const recheckMs = 5000;

/** What a stream reads and is woken by. */
export interface FollowSources {
  readonly runs: Pick<Sources['runs'], 'get' | 'onChange'>;
  readonly ledger: Pick<Sources['ledger'], 'readRun'>;
  readonly logs: Pick<Sources['logs'], 'lines' | 'state' | 'onCommit'>;
  readonly board: Pick<Sources['board'], 'onTask'>;
}

export interface FollowOptions {
  readonly sources: FollowSources;
  readonly namespace: string;
  readonly name: string;
  readonly step: string | undefined;
  /** Next line to send, by `task/epoch`: where a client that comes back goes on. */
  readonly cursors: Map<string, number>;
  readonly signal: AbortSignal;
  readonly now: () => number;
  /** Throws when the user may no longer read. */
  readonly recheck: () => Promise<void>;
}

export const lineView = (task: TaskRecord, { epoch }: AttemptRef, line: LogLine): LineView => ({
  task: task.id,
  epoch,
  step: task.spec.step,
  target: task.target,
  ...(task.probeOf === null ? {} : { probeOf: task.probeOf }),
  line: line.line,
  stream: line.stream,
  at: new Date(line.at).toISOString(),
  text: line.text,
});

const event = (name: string, data: unknown, id?: string): string =>
  `${id === undefined ? '' : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;

/** Woken by commits of the log store and by tasks and objects of this run; a wake between two waits is not lost. */
const createWaker = (options: FollowOptions) => {
  let woken = Promise.withResolvers<void>();
  const wake = (): void => woken.resolve();
  const { sources, namespace, name } = options;
  const mine = new Set<string>();
  const stops = [
    sources.logs.onCommit((refs) => {
      if (refs.some((ref) => mine.has(ref.task))) wake();
    }),
    sources.board.onTask((task) => {
      if (task.spec.run === name && task.spec.namespace === namespace) wake();
    }),
    sources.runs.onChange((key) => {
      if (key.name === name && key.namespace === namespace) wake();
    }),
  ];
  options.signal.addEventListener('abort', wake, { once: true });
  return {
    watch: (tasks: readonly TaskRecord[]): void => {
      for (const task of tasks) mine.add(task.id);
    },
    /** True when woken, false when the time was over. */
    wait: async (ms: number): Promise<boolean> => {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), ms)));
      const result = await Promise.race([woken.promise.then(() => true), late]);
      clearTimeout(timer);
      if (result) woken = Promise.withResolvers<void>();
      return result;
    },
    stop: (): void => {
      for (const stop of stops) stop();
      options.signal.removeEventListener('abort', wake);
    },
  };
};

async function* newLines(options: FollowOptions, task: TaskRecord, ref: AttemptRef): AsyncGenerator<string> {
  const key = attemptKey(ref);
  for (;;) {
    await options.recheck();
    const from = options.cursors.get(key) ?? 0;
    const page = await options.sources.logs.lines(ref, { from, limit: pageLines });
    const whole = page.filter((line) => line.complete);
    for (const line of whole)
      yield event('line', lineView(task, ref, line), `${ref.task}.${ref.epoch}.${line.line}`);
    options.cursors.set(key, from + whole.length);
    if (page.length < pageLines || whole.length < page.length) return;
  }
}

const logsEnded = async (options: FollowOptions, tasks: readonly TaskRecord[]): Promise<boolean> => {
  for (const task of tasks) {
    if (!hasTrail(task)) continue;
    const { end } = await options.sources.logs.state({ task: task.id, epoch: task.epoch });
    if (end === 'Open') return false;
  }
  return true;
};

const hasEnded = (options: FollowOptions, known: RunAndTasks, tasks: readonly TaskRecord[]): boolean =>
  options.step === undefined
    ? known.run.state !== 'Running'
    : tasks.every((task) => terminalStates.has(task.state));

/** `recheck`, with as much time between two questions as there has to be. */
const nowAndThen = (options: FollowOptions): FollowOptions => {
  let askedAt = options.now();
  return {
    ...options,
    recheck: async () => {
      if (options.now() - askedAt < recheckMs) return;
      askedAt = options.now();
      await options.recheck();
    },
  };
};

/**
 * Server-sent events of a run until it has ended and every line is sent. Order within an attempt is the log's; nothing is
 * held in memory for a slow reader: the store is read again from the cursor.
 */
export async function* followRun(options: FollowOptions): AsyncGenerator<string> {
  const waker = createWaker(options);
  try {
    yield* follow(nowAndThen(options), waker);
  } catch (error) {
    yield event('problem', toProblem(error));
  } finally {
    waker.stop();
  }
}

interface Progress {
  readonly view: RunView;
  readonly tasks: readonly TaskRecord[];
  readonly ended: boolean;
}

const progressOf = async (options: FollowOptions): Promise<Progress | undefined> => {
  const run = options.sources.runs.get(options.namespace, options.name);
  if (!run) return undefined;
  const known = await options.sources.ledger.readRun(run.metadata.uid);
  const view = runView(run, known);
  if (!known) return { view, tasks: [], ended: view.finishedAt !== undefined };
  const tasks = tasksOf(known, run, options.step);
  return { view, tasks, ended: hasEnded(options, known, tasks) };
};

/** True once the stream is over: the run has ended and its logs are whole, or have not become so within the trail time. */
const isOver = async (
  options: FollowOptions,
  { tasks, ended }: Progress,
  endedAt: number | undefined,
): Promise<boolean> => {
  if (!ended || endedAt === undefined) return false;
  return options.now() - endedAt > trailMs || (await logsEnded(options, tasks));
};

async function* follow(
  options: FollowOptions,
  waker: ReturnType<typeof createWaker>,
): AsyncGenerator<string> {
  const sent: Sent = { run: '', tasks: new Map(), attempts: new Set() };
  let endedAt: number | undefined;
  while (!options.signal.aborted) {
    const progress = await progressOf(options);
    if (!progress) return;
    waker.watch(progress.tasks);
    yield* taskEvents(options, progress.tasks, sent);
    if (progress.ended) endedAt ??= options.now();
    const over = await isOver(options, progress, endedAt);
    // Lines may have come between reading them and asking whether the log has ended.
    if (over) yield* lastLines(options, progress.tasks);
    if (over === progress.ended) yield* runEvent(progress.view, sent);
    if (over) return;
    const woken = await waker.wait(progress.ended ? 1000 : keepaliveMs);
    await options.recheck();
    if (!woken) yield ': keepalive\n\n';
  }
}

/** Sent when it differs from the one before. The final one comes after the last line. */
function* runEvent(view: RunView, sent: Sent): Generator<string> {
  const text = event('run', view);
  if (text === sent.run) return;
  sent.run = text;
  yield text;
}

async function* lastLines(options: FollowOptions, tasks: readonly TaskRecord[]): AsyncGenerator<string> {
  for (const task of tasks) for (const ref of attemptsOf(task)) yield* newLines(options, task, ref);
}

interface Sent {
  /** The last event about the run. */
  run: string;
  /** State and attempt, by task. */
  readonly tasks: Map<string, string>;
  /** Attempts that are over: what trails of their logs is read once more at the end. */
  readonly attempts: Set<string>;
}

/** The current attempt of a task each time, those before it once. */
const attemptsToRead = (task: TaskRecord, { attempts }: Sent): readonly AttemptRef[] =>
  attemptsOf(task).filter((ref) => {
    if (ref.epoch === task.epoch) return true;
    const key = attemptKey(ref);
    return !attempts.has(key) && attempts.add(key);
  });

async function* taskEvents(
  options: FollowOptions,
  tasks: readonly TaskRecord[],
  sent: Sent,
): AsyncGenerator<string> {
  for (const task of tasks) {
    for (const ref of attemptsToRead(task, sent)) yield* newLines(options, task, ref);
    const state = `${task.state}/${task.epoch}`;
    if (sent.tasks.get(task.id) === state || task.state === 'Pending') continue;
    sent.tasks.set(task.id, state);
    yield event('task', await viewTask(options.sources.logs, task));
  }
}
