import { setTimeout as delay } from 'node:timers/promises';
import type { RunView, TaskView } from '@outrider/portal';
import type { Context } from './context.ts';
import { labelOf, renderLogLine } from './output/log-line.ts';
import { printableWords } from './output/printable.ts';
import { paintPhase } from './output/style.ts';
import { formatSpan } from './output/time.ts';
import type { LogCursor } from './portal/cursor.ts';
import { followLog } from './portal/follow.ts';

export interface ShowOptions {
  readonly namespace: string;
  readonly run: string;
  readonly step?: string;
  readonly cursor?: LogCursor;
  readonly timestamps?: boolean;
  readonly appearsWithinMs?: number;
}

const outcome = ({ exitCode, signal, reason, startedAt, finishedAt }: TaskView): string =>
  [
    reason,
    exitCode === undefined ? undefined : `exit code ${exitCode}`,
    signal,
    formatSpan(startedAt, finishedAt),
  ]
    .filter((each) => each !== undefined && each !== '')
    .join(', ');

/** States in which it is not known how an attempt ended, with what is said where the portal gives no message. */
const unclear: Readonly<Record<string, string>> = {
  Unknown: 'its runner is not heard of; what becomes of it is decided when it is',
  Verifying: 'its runner did not come back; verify.script finds out whether the work was done',
  AwaitingHuman: 'nobody knows how it ended: look on the target, then decide',
};

/** What people are told of a task besides its log; undefined for what passes in a moment. */
export const taskNote = (task: TaskView): string | undefined => {
  const label = labelOf(task);
  const on = task.runner === undefined ? '' : ` on ${task.runner}`;
  if (task.state === 'Running') return `${label}: started${on}`;
  const why = unclear[task.state];
  if (why !== undefined) return `${label}: ${task.state}: ${task.message ?? why}`;
  if (task.finishedAt === undefined) return undefined;
  const details = outcome(task);
  const message = task.state === 'Succeeded' || task.message === undefined ? '' : `: ${task.message}`;
  return `${label}: ${task.state}${details === '' ? '' : ` (${details})`}${message}`;
};

/** Why a run waits, or how it ended. */
export const runNote = (run: RunView): string | undefined => {
  const why = [run.reason, run.message].filter((each) => each !== undefined).join(': ');
  if (run.finishedAt !== undefined) {
    const span = formatSpan(run.startedAt, run.finishedAt);
    const details = run.phase === 'Succeeded' || why === '' ? '' : `: ${why}`;
    return `${run.name}: ${run.phase}${span === '' ? '' : ` after ${span}`}${details}`;
  }
  if (run.phase === 'Paused') return `${run.name}: Paused: no further step begins until it is resumed`;
  return run.phase === 'Queued' && why !== '' ? `${run.name} waits: ${why}` : undefined;
};

/** Notes to stderr, each only when it differs from the one before it about the same thing. */
const createNotes = (context: Context) => {
  const { style } = context.err;
  const said = new Map<string, string>();
  return async (about: string, text: string | undefined, state?: string): Promise<void> => {
    if (text === undefined || said.get(about) === text) return;
    said.set(about, text);
    const clean = printableWords(text);
    const painted = state === undefined ? clean : clean.replace(state, () => paintPhase(style, state));
    await context.note(style.dim(painted));
  };
};

/** A cut shorter than this is not worth a word. */
const quietCutMs = 1500;

/** Says that the connection is cut when it stays so for a while. */
const createCutNotice = (context: Context) => {
  let noticed: AbortController | undefined;
  return {
    cut: (why: string): void => {
      if (noticed) return;
      const mine = new AbortController();
      noticed = mine;
      delay(quietCutMs, undefined, { signal: mine.signal, ref: false })
        .then(() => context.note(`${why} The log goes on from here once the connection is back.`))
        .catch(() => undefined);
    },
    back: (): void => {
      noticed?.abort();
      noticed = undefined;
    },
  };
};

/** Shows a log live. Resolves with the run's last known state when there is nothing more to come. */
export const showLive = async (context: Context, options: ShowOptions): Promise<RunView | undefined> => {
  const { timestamps = false, ...rest } = options;
  const say = createNotes(context);
  const notice = createCutNotice(context);
  const rendering = { style: context.out.style, timestamps, clean: context.out.isTTY };
  let run: RunView | undefined;
  const events = followLog({ ...rest, portal: await context.portal(), signal: context.interrupted });
  for await (const event of events) {
    if (event.type === 'interrupted') {
      notice.cut(event.why);
      continue;
    }
    notice.back();
    if (event.type === 'line') await context.out.write(renderLogLine(event.line, rendering));
    if (event.type === 'task') await say(event.task.id, taskNote(event.task), event.task.state);
    if (event.type === 'run') {
      run = event.run;
      await say('run', runNote(run), run.phase);
    }
  }
  notice.back();
  return run;
};
