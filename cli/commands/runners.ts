import { portalPaths, type RunnerList, type RunnerView } from '@outrider/portal';
import type { Command } from '../command.ts';
import type { Context } from '../context.ts';
import { exitStatus } from '../errors.ts';
import { renderObject } from '../output/objects.ts';
import { paintPhase, type Style } from '../output/style.ts';
import { renderTable, type Column } from '../output/table.ts';
import { formatAge } from '../output/time.ts';

export const runnerColumns = (style: Style, now: number): readonly Column<RunnerView>[] => [
  { title: 'NAME', value: ({ name }) => name },
  { title: 'STATUS', value: ({ phase }) => phase, paint: (text) => paintPhase(style, text) },
  { title: 'LOAD', value: ({ load, capacity }) => `${load}/${capacity}` },
  {
    title: 'HEARTBEAT',
    value: ({ lastHeartbeat }) => (lastHeartbeat === undefined ? '' : `${formatAge(lastHeartbeat, now)} ago`),
  },
  { title: 'VERSION', value: ({ version }) => version },
  {
    title: 'UPTIME',
    value: ({ phase, startedAt }) => (phase === 'Offline' ? '' : formatAge(startedAt, now)),
  },
  { title: 'TAGS', value: ({ tags }) => tags.join(',') },
  { title: 'SESSIONS', value: ({ replicas }) => replicas, wide: true },
  { title: 'REASON', value: ({ reason }) => reason, wide: true },
  { title: 'MESSAGE', value: ({ message }) => message, wide: true },
];

const show = async (context: Context, namespace: string, list: RunnerList): Promise<void> => {
  if (context.format === 'json' || context.format === 'yaml')
    return context.out.write(await renderObject(list, context.format));
  if (context.format === 'name') return context.out.write(list.items.map(({ name }) => `${name}\n`).join(''));
  if (list.items.length === 0)
    return context.note(
      `Namespace ${namespace} has no runner. To add one: ${context.program} runner token -n ${namespace}`,
    );
  const columns = runnerColumns(context.out.style, context.now());
  await context.out.write(renderTable(columns, list.items, { wide: context.format === 'wide' }));
};

export const runners: Command = {
  name: 'runners',
  summary: 'List runners with their live figures',
  operands: '',
  arity: [0, 0],
  description:
    'Figures come from the operator and are exact to the second; `kubectl get runners` shows them coarser.',
  examples: [
    { what: 'Runners of a namespace', words: 'runners -n payments' },
    { what: 'With the reason why one is offline', words: 'runners -o wide' },
  ],
  options: {},
  formats: ['json', 'yaml', 'wide', 'name'],
  run: async (context) => {
    const namespace = await context.namespace();
    const portal = await context.portal();
    await show(context, namespace, await portal.get<RunnerList>(portalPaths.runners(namespace)));
    return exitStatus.ok;
  },
};
