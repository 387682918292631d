import { portalPaths, type RunList, type RunView } from '@outrider/portal';
import type { Command } from '../command.ts';
import { exitStatus } from '../errors.ts';
import { renderObject } from '../output/objects.ts';
import { paintPhase, type Style } from '../output/style.ts';
import { renderTable, type Column } from '../output/table.ts';
import { formatAge, formatSpan } from '../output/time.ts';

/** Shown only where a run has such attempts: rare, and then not to be missed. */
const unconfirmedColumn: Column<RunView> = {
  title: 'UNCONFIRMED',
  value: ({ unconfirmed = 0 }) => (unconfirmed === 0 ? '' : unconfirmed),
};

export const runColumns = (
  style: Style,
  now: number,
  rows: readonly RunView[],
): readonly Column<RunView>[] => [
  { title: 'NAME', value: ({ name }) => name },
  { title: 'WORKFLOW', value: ({ workflow }) => workflow },
  { title: 'PHASE', value: ({ phase }) => phase, paint: (text) => paintPhase(style, text) },
  { title: 'REASON', value: ({ phase, reason }) => (phase === 'Succeeded' ? '' : reason) },
  {
    title: 'DURATION',
    value: ({ startedAt, finishedAt }) => formatSpan(startedAt, finishedAt ?? new Date(now).toISOString()),
  },
  { title: 'AGE', value: ({ createdAt }) => formatAge(createdAt, now) },
  ...(rows.some(({ unconfirmed = 0 }) => unconfirmed > 0) ? [unconfirmedColumn] : []),
  { title: 'PRIORITY', value: ({ priority }) => priority, wide: true },
  { title: 'REQUESTED BY', value: ({ requestedBy }) => requestedBy, wide: true },
  { title: 'MESSAGE', value: ({ message }) => message, wide: true },
];

export const runs: Command = {
  name: 'runs',
  summary: 'List runs, newest first',
  operands: '',
  arity: [0, 0],
  description: 'Runs that are in the cluster; a deleted one is not listed.',
  examples: [
    { what: 'The last 50 of a namespace', words: 'runs -n payments' },
    { what: 'Those of one workflow, with messages', words: 'runs -w restart-payment-service -o wide' },
  ],
  options: {
    workflow: { type: 'string', short: 'w', value: 'NAME', help: 'Only runs of this workflow.' },
    limit: { type: 'string', value: 'N', help: 'At most this many, up to 500; 50 when absent.' },
  },
  formats: ['json', 'yaml', 'wide', 'name'],
  run: async (context, args) => {
    const namespace = await context.namespace();
    const workflow = args.text('workflow');
    const limit = args.count('limit', 1);
    const query = new URLSearchParams({
      ...(workflow === undefined ? {} : { workflow }),
      ...(limit === undefined ? {} : { limit: `${limit}` }),
    });
    const portal = await context.portal();
    const list = await portal.get<RunList>(`${portalPaths.runs(namespace)}?${query.toString()}`);
    const { format, out } = context;
    if (format === 'json' || format === 'yaml') await out.write(await renderObject(list, format));
    else if (format === 'name') await out.write(list.items.map(({ name }) => `${name}\n`).join(''));
    else if (list.items.length === 0)
      await context.note(
        `Namespace ${namespace} has no run${workflow === undefined ? '' : ` of "${workflow}"`}.`,
      );
    else
      await out.write(
        renderTable(runColumns(out.style, context.now(), list.items), list.items, {
          wide: format === 'wide',
        }),
      );
    return exitStatus.ok;
  },
};
