import { portalPaths, type LineView, type RunDetails, type TaskView } from '@outrider/portal';
import type { Arguments } from '../arguments.ts';
import type { Command } from '../command.ts';
import type { Context } from '../context.ts';
import { CliError, exitStatus, usageError } from '../errors.ts';
import { showLive } from '../follow-run.ts';
import { labelOf, renderLogLine } from '../output/log-line.ts';
import { LogCursor } from '../portal/cursor.ts';

interface Wanted {
  readonly namespace: string;
  readonly run: string;
  readonly step?: string;
  /** Last lines of each step and target. */
  readonly tail?: number;
  /** Number of the attempt; absent: all that there were, or with raw the last one. */
  readonly attempt?: number;
  readonly timestamps: boolean;
}

const query = (values: Readonly<Record<string, string | number | undefined>>): string => {
  const known = Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, `${value}`] as [string, string]],
  );
  return known.length === 0 ? '' : `?${new URLSearchParams(known).toString()}`;
};

/** The bytes that the processes wrote, untouched. A cut is an error, for what is missing must not look like the end. */
const showRaw = async (context: Context, { namespace, run, step, attempt }: Wanted): Promise<void> => {
  const portal = await context.portal();
  const path = portalPaths.rawLog(namespace, run) + query({ step, attempt });
  const answer = await portal.open(path, { signal: context.interrupted });
  let written = 0;
  try {
    for await (const bytes of answer.body) {
      await context.out.write(bytes);
      written += bytes.length;
    }
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    throw new CliError(
      {
        code: error.code,
        message: `The log broke off after ${written} bytes: ${error.message}`,
        action: 'What was written is its beginning; run the command again for the whole.',
      },
      { cause: error },
    );
  }
  if (attempt === undefined) await warnOfMissing(context, { namespace, run, step });
};

/** Bytes bear no marks, so what they lack is said beside them. Who may read logs and not runs is told nothing. */
const warnOfMissing = async (
  context: Context,
  { namespace, run, step }: Pick<Wanted, 'namespace' | 'run'> & { readonly step: string | undefined },
): Promise<void> => {
  const portal = await context.portal();
  const details = await portal.get<RunDetails>(portalPaths.run(namespace, run)).catch((error: unknown) => {
    if (error instanceof CliError && error.code === 'Forbidden') return undefined;
    throw error;
  });
  const missing = (details?.tasks ?? []).filter(
    (task) => (step === undefined || task.step === step) && lacks(task) !== undefined,
  );
  const { err } = context;
  for (const task of missing)
    await err.write(`${err.style.yellow('Warning:')} the log of ${labelOf(task)} ${lacks(task)}\n`);
};

/** What a log lacks; undefined when it lacks nothing. */
const lacks = ({ epoch, finishedAt, probeOf, log }: TaskView): string | undefined => {
  if (epoch === 0 || probeOf !== undefined) return undefined;
  if (log.end === 'Incomplete') return 'is incomplete: bytes of it never arrived, or were left out.';
  if (log.end === 'Complete') return undefined;
  return finishedAt === undefined
    ? 'goes on: the step still executes.'
    : 'has no end yet: bytes of it may still be on the way.';
};

async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<LineView> {
  const decoder = new TextDecoder('utf-8');
  let rest = '';
  for await (const bytes of body) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') yield JSON.parse(line) as LineView;
  }
}

const showStored = async (context: Context, wanted: Wanted): Promise<void> => {
  const { namespace, run, step, tail, attempt, timestamps } = wanted;
  if (tail === 0) return;
  const portal = await context.portal();
  const path = portalPaths.log(namespace, run) + query({ step, attempt, limit: tail });
  const answer = await portal.open(path, { signal: context.interrupted });
  const rendering = { style: context.out.style, timestamps, clean: context.out.isTTY };
  for await (const line of linesOf(answer.body)) await context.out.write(renderLogLine(line, rendering));
};

/** More lines than a log can have: nothing is read behind it. */
const lastLine = 2 ** 32;

/** A cursor that leaves the last lines of each attempt to be read. */
const tailCursor = async (
  context: Context,
  { namespace, run, tail }: Wanted,
): Promise<LogCursor | undefined> => {
  if (tail === undefined) return undefined;
  const portal = await context.portal();
  const { tasks } = await portal.get<RunDetails>(portalPaths.run(namespace, run));
  const cursor = new LogCursor();
  for (const { id, epoch, log } of tasks) {
    for (let before = 1; before < epoch; before += 1)
      cursor.take({ task: id, epoch: before, line: lastLine });
    if (log.lines > tail) cursor.take({ task: id, epoch, line: log.lines - tail - 1 });
  }
  return cursor;
};

const showFollowed = async (context: Context, wanted: Wanted): Promise<number> => {
  const cursor = await tailCursor(context, wanted);
  const { namespace, run, step, timestamps } = wanted;
  await showLive(context, {
    namespace,
    run,
    timestamps,
    ...(step === undefined ? {} : { step }),
    ...(cursor === undefined ? {} : { cursor }),
  });
  return context.interrupted.aborted ? exitStatus.interrupted : exitStatus.ok;
};

const wantedFrom = async (context: Context, args: Arguments): Promise<Wanted> => {
  const [run = '', step] = args.positionals;
  const tail = args.count('tail', 0);
  const attempt = args.count('attempt', 1);
  return {
    namespace: await context.namespace(),
    run,
    timestamps: args.flag('timestamps'),
    ...(step === undefined ? {} : { step }),
    ...(tail === undefined ? {} : { tail }),
    ...(attempt === undefined ? {} : { attempt }),
  };
};

const refuseTogether = (args: Arguments): void => {
  if (args.flag('attempt') && args.flag('follow'))
    throw usageError('--attempt does not go with --follow.', '--follow shows every attempt; leave one out.');
  const other = ['follow', 'tail', 'timestamps'].find((name) => args.flag(name));
  if (args.flag('raw') && other !== undefined)
    throw usageError(
      `--raw does not go with --${other}.`,
      '--raw writes the bytes that are there, as they are; leave one of the two out.',
    );
};

export const logs: Command = {
  name: 'logs',
  summary: 'Show the log of a run, live with -f',
  operands: 'RUN [STEP]',
  arity: [1, 2],
  description:
    'Every line bears its step, and its target where a step has several. Marks: | output, ! error output, * a note by Outrider, ~ bytes left out. Lines of a second attempt bear #2, and so on. What is no log (a run that waits, steps that start and end) goes to stderr.',
  examples: [
    { what: 'Everything so far', words: 'logs restart-x7k2p' },
    {
      what: 'One step, live; a cut connection is taken up where it broke',
      words: 'logs restart-x7k2p check -f',
    },
    { what: 'The very bytes that the processes wrote', words: 'logs restart-x7k2p --raw > output.bin' },
  ],
  options: {
    follow: { type: 'boolean', short: 'f', help: 'Go on until the run (or the step) has ended.' },
    raw: { type: 'boolean', help: 'Exact bytes of stdout and stderr, without prefix or mark.' },
    tail: { type: 'string', value: 'N', help: 'Only the last N lines of each step and target.' },
    attempt: {
      type: 'string',
      value: 'N',
      help: 'Only the Nth attempt of each step; all when absent, with --raw the last.',
    },
    timestamps: { type: 'boolean', help: "Time of each line, by the runner's clock." },
  },
  formats: [],
  run: async (context, args) => {
    refuseTogether(args);
    const wanted = await wantedFrom(context, args);
    if (args.flag('follow')) return showFollowed(context, wanted);
    await (args.flag('raw') ? showRaw(context, wanted) : showStored(context, wanted));
    return exitStatus.ok;
  },
};
