import { setTimeout as delay } from 'node:timers/promises';
import type { WorkflowRun } from '@outrider/kinds';
import { portalPaths, type DecisionView, type RunDetails, type TaskView } from '@outrider/portal';
import type { Command } from '../command.ts';
import type { Context } from '../context.ts';
import { decideWords } from '../decide-words.ts';
import { CliError, exitStatus } from '../errors.ts';
import { resourcePath } from '../kube/paths.ts';
import { labelOf } from '../output/log-line.ts';
import { renderObject } from '../output/objects.ts';
import { printableWords } from '../output/printable.ts';
import { paintPhase, type Style } from '../output/style.ts';
import { renderFields, renderTable, type Column } from '../output/table.ts';
import { formatAge, formatSpan } from '../output/time.ts';

type Conditions = NonNullable<NonNullable<WorkflowRun['status']>['conditions']>;

const taskColumns = (style: Style, now: string): readonly Column<TaskView>[] => [
  { title: 'STEP', value: ({ step, probeOf }) => (probeOf === undefined ? step : `${step} (verify)`) },
  { title: 'TARGET', value: ({ target }) => target },
  { title: 'STATE', value: ({ state }) => state, paint: (text) => paintPhase(style, text) },
  { title: 'RUNNER', value: ({ runner }) => runner },
  { title: 'EXIT', value: ({ exitCode, signal }) => exitCode ?? signal },
  { title: 'DURATION', value: ({ startedAt, finishedAt }) => formatSpan(startedAt, finishedAt ?? now) },
  { title: 'REASON', value: ({ reason }) => reason },
  { title: 'NODE', value: ({ node }) => node, wide: true },
  { title: 'ATTEMPT', value: ({ epoch }) => epoch, wide: true },
  { title: 'LINES', value: ({ log }) => log.lines, wide: true },
  { title: 'LOG', value: ({ log }) => log.end, wide: true },
];

const moment = (instant: string | undefined, now: number): string | undefined =>
  instant === undefined ? undefined : `${instant} (${formatAge(instant, now)} ago)`;

interface Head {
  readonly style: Style;
  readonly now: number;
  readonly shown: Shown;
}

const headOf = (run: RunDetails, { style, now, shown }: Head): string =>
  renderFields([
    ['Name', run.name],
    ['Namespace', run.namespace],
    ['Workflow', run.workflow],
    ['Phase', paintPhase(style, run.phase)],
    ['Reason', run.reason],
    ['Message', shown(run.message)],
    ['Priority', run.priority === undefined ? undefined : `${run.priority}`],
    ['Requested by', run.requestedBy === undefined ? undefined : printableWords(run.requestedBy)],
    ['Created', moment(run.createdAt, now)],
    ['Started', moment(run.startedAt, now)],
    ['Finished', moment(run.finishedAt, now)],
    ['Duration', formatSpan(run.startedAt, run.finishedAt)],
  ]);

/** A message is shown once, where it stands first: those that are part of one before it are left out. */
const createShown = () => {
  const shown: string[] = [];
  return (message: string | undefined): string | undefined => {
    const text = printableWords(message ?? '');
    if (text === '' || shown.some((earlier) => earlier.includes(text))) return undefined;
    shown.push(text);
    return text;
  };
};
type Shown = ReturnType<typeof createShown>;

const conditionsOf = (conditions: Conditions, style: Style, shown: Shown): string => {
  const rows = conditions.map((condition) => ({ ...condition, message: shown(condition.message) }));
  const message: Column<(typeof rows)[number]> = { title: 'MESSAGE', value: (row) => row.message };
  return renderTable(
    [
      { title: 'CONDITION', value: ({ type }) => type },
      { title: 'STATUS', value: ({ status }) => status, paint: (text) => paintPhase(style, text) },
      { title: 'REASON', value: ({ reason }) => reason },
      ...(rows.some((row) => row.message !== undefined) ? [message] : []),
    ],
    rows,
  );
};

const messagesOf = (tasks: readonly TaskView[], shown: Shown): string =>
  tasks
    .filter(({ state, reason }) => state !== 'Succeeded' || reason !== undefined)
    .map((task) => ({ label: labelOf(task), message: shown(task.message) }))
    .filter(({ message }) => message !== undefined)
    .map(({ label, message }) => `${label}: ${message}\n`)
    .join('');

const unconfirmedOf = (tasks: readonly TaskView[]): string =>
  tasks
    .filter(({ unconfirmed = 0 }) => unconfirmed > 0)
    .map(
      (task) =>
        `${labelOf(task)}: it could not be checked that nothing of it still runs: look on the target for what is left.${task.holdsTarget === undefined ? '' : ` Attempt ${task.holdsTarget} keeps the target from others until it is released.`}\n`,
    )
    .join('');

const historyOf = (history: readonly DecisionView[], now: number): string =>
  history.length === 0
    ? ''
    : renderTable<DecisionView>(
        [
          { title: 'DECIDED', value: ({ at }) => `${formatAge(at, now)} ago` },
          { title: 'BY', value: ({ by }) => by },
          { title: 'STEP', value: labelOf },
          { title: 'ATTEMPT', value: ({ attempt }) => attempt },
          {
            title: 'DECISION',
            value: ({ decision, applied }) => (applied ? decision : `${decision} (not applied)`),
          },
          { title: 'WHY', value: ({ reason }) => reason },
        ],
        history,
      );

const nextOf = (context: Context, run: RunDetails): string => {
  const ref = `${run.name} -n ${run.namespace}`;
  const decide = run.tasks
    .filter(({ state }) => state === 'AwaitingHuman')
    .map((task) => `${decideWords(run, task, 'succeeded')}  (or --failed, --retry)`);
  const release = run.tasks.flatMap((task) =>
    task.holdsTarget === undefined ? [] : [decideWords(run, { ...task, epoch: task.holdsTarget }, 'release')],
  );
  const others =
    run.finishedAt === undefined
      ? [`logs ${ref} -f`, ...(run.phase === 'Paused' ? [`resume ${ref}`] : []), `cancel ${ref}`]
      : [`logs ${ref}`, `run ${run.workflow} -n ${run.namespace} --follow`];
  const lines = [...decide, ...release, ...others];
  return lines.map((line) => `  ${context.program} ${line}\n`).join('');
};

/** Paragraphs, those without text left out. */
const paragraphs = (...texts: readonly string[]): string => texts.filter((text) => text !== '').join('\n');

export const renderRun = (context: Context, run: RunDetails, conditions: Conditions): string => {
  const { style } = context.out;
  const now = context.now();
  const wide = { wide: context.format === 'wide' };
  const shown = createShown();
  // Of what waits for a person the step says more, and the command stands below.
  if (run.reason === 'AwaitingHuman') shown(run.message);
  return paragraphs(
    headOf(run, { style, now, shown }),
    conditions.length === 0 ? '' : conditionsOf(conditions, style, shown),
    run.tasks.length === 0
      ? ''
      : renderTable(taskColumns(style, new Date(now).toISOString()), run.tasks, wide),
    messagesOf(run.tasks, shown) + unconfirmedOf(run.tasks),
    historyOf(run.history ?? [], now),
    `Next:\n${nextOf(context, run)}`,
  );
};

const isCompleted = (conditions: Conditions): boolean =>
  conditions.some(({ type, status }) => type === 'Completed' && status === 'True');

/** Objects are written a second or two behind what the portal knows. */
const retryMs = 250;
const retries = 12;

/** As Kubernetes has them, at the same end as the run; who may not read the object sees the rest. */
const readConditions = async (context: Context, run: RunDetails): Promise<Conditions> => {
  const { namespace, name, finishedAt } = run;
  const ended = finishedAt !== undefined;
  try {
    const kube = await context.kube();
    const path = resourcePath(namespace, 'workflowruns', name);
    for (let tries = 0; ; tries += 1) {
      const { status } = await kube.request<WorkflowRun>({ method: 'GET', path });
      const conditions = status?.conditions ?? [];
      if (!ended || isCompleted(conditions) || tries === retries) return conditions;
      await delay(retryMs);
    }
  } catch (error) {
    if (error instanceof CliError && ['Forbidden', 'NotFound'].includes(error.code)) return [];
    throw error;
  }
};

export const describe: Command = {
  name: 'describe',
  summary: 'Show one run: where it stands, step by step',
  operands: 'RUN',
  arity: [1, 1],
  description:
    'Phase, conditions and every step with target, runner, exit code, duration, and why it failed.',
  examples: [
    { what: 'One run', words: 'describe restart-x7k2p' },
    { what: 'For a program', words: 'describe restart-x7k2p -o json' },
  ],
  options: {},
  formats: ['json', 'yaml', 'wide'],
  run: async (context, args) => {
    const [name = ''] = args.positionals;
    const namespace = await context.namespace();
    const portal = await context.portal();
    const run = await portal.get<RunDetails>(portalPaths.run(namespace, name));
    const { format, out } = context;
    if (format === 'json' || format === 'yaml') await out.write(await renderObject(run, format));
    else await out.write(renderRun(context, run, await readConditions(context, run)));
    return exitStatus.ok;
  },
};
