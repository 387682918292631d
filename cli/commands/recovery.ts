import { apiVersion, type StepSummary, type WorkflowRun } from '@outrider/kinds';
import { ledgerConfigMap, recoveryConfirmedAnnotation } from '@outrider/portal';
import type { Command } from '../command.ts';
import type { Context } from '../context.ts';
import { CliError, exitStatus } from '../errors.ts';
import { resourcePath } from '../kube/paths.ts';
import { renderObject } from '../output/objects.ts';
import { printableWords } from '../output/printable.ts';
import { renderTable } from '../output/table.ts';

interface LedgerMap {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
  readonly data?: Readonly<Record<string, string>>;
}

const pathOf = async (context: Context): Promise<string> =>
  `/api/v1/namespaces/${encodeURIComponent(await context.operatorNamespace())}/configmaps/${ledgerConfigMap}`;

/** @throws CliError */
const readLedger = async (context: Context): Promise<LedgerMap> => {
  const kube = await context.kube();
  try {
    return await kube.request<LedgerMap>({ method: 'GET', path: await pathOf(context) });
  } catch (error) {
    if (!(error instanceof CliError && error.code === 'NotFound')) throw error;
    throw new CliError(
      {
        code: error.code,
        message: `There is no ConfigMap ${ledgerConfigMap} in namespace ${await context.operatorNamespace()}.`,
        action:
          'Say with --outrider-namespace where Outrider is installed; its operator writes it when it first serves.',
      },
      { cause: error },
    );
  }
};

/** A step that waits for a person. */
interface Unclear {
  readonly namespace: string;
  readonly run: string;
  readonly step: StepSummary;
}

const unclearOf = ({ metadata, status }: WorkflowRun): readonly Unclear[] =>
  (status?.steps ?? [])
    .filter(({ phase }) => phase === 'AwaitingHuman')
    .map((step) => ({ namespace: metadata.namespace, run: metadata.name, step }));

interface RunList {
  readonly items: readonly WorkflowRun[];
}

/** Of all namespaces; of the one in use where the user may read no other. */
const readUnclear = async (context: Context): Promise<readonly Unclear[]> => {
  const kube = await context.kube();
  const list = async (path: string): Promise<readonly Unclear[]> =>
    (await kube.request<RunList>({ method: 'GET', path })).items.flatMap(unclearOf);
  try {
    return await list(`/apis/${apiVersion}/workflowruns`);
  } catch (error) {
    if (!(error instanceof CliError && error.code === 'Forbidden')) throw error;
    const namespace = await context.namespace();
    await context.note(
      `You may not list the runs of every namespace: those of ${namespace} alone are shown.`,
    );
    return list(resourcePath(namespace, 'workflowruns'));
  }
};

const unclearTable = (unclear: readonly Unclear[]): string =>
  renderTable<Unclear>(
    [
      { title: 'NAMESPACE', value: ({ namespace }) => namespace },
      { title: 'RUN', value: ({ run }) => run },
      { title: 'STEP', value: ({ step }) => step.name },
      { title: 'ATTEMPT', value: ({ step }) => step.attempts },
      { title: 'MESSAGE', value: ({ step }) => step.message && printableWords(step.message) },
    ],
    unclear,
  );

const whatRecoveryIs = [
  'The ledger is in recovery: it was put back from a copy, so it does not know what happened after the copy was made.',
  'Nothing is started. Runners hand in what they know of their attempts; what nobody vouches for waits for a person',
  'afterwards, and is never executed again by itself.',
];

const unclearText = (context: Context, unclear: readonly Unclear[]): string =>
  unclear.length === 0
    ? 'No step waits for a person.\n'
    : `These steps wait for a person, as nobody knows how they ended:\n\n${unclearTable(unclear)}\nOf each, \`${context.program} describe RUN -n NAMESPACE\` shows the command that decides on it.\n`;

const render = (context: Context, { data = {} }: LedgerMap, unclear: readonly Unclear[]): string => {
  const { generation = 'unknown', state = 'Normal' } = data;
  if (state !== 'Recovery')
    return `The ledger (generation ${generation}) is not in recovery: work goes on as usual.\n\n${unclearText(context, unclear)}`;
  return [
    ...whatRecoveryIs,
    '',
    `Generation: ${generation}`,
    ...(data['since'] === undefined ? [] : [`Since: ${data['since']}`]),
    ...(data['reason'] === undefined ? [] : [`Reason: ${printableWords(data['reason'])}`]),
    '',
    unclearText(context, unclear),
    'Next: see that the runners which had work are online (`kubectl get runners -A`), so that they can vouch for it. Then',
    `  ${context.program} recovery confirm`,
    'lets work go on.',
    '',
  ].join('\n');
};

export const recovery: Command = {
  name: 'recovery',
  summary: 'Show whether the ledger was restored, and what is unclear since',
  operands: '',
  arity: [0, 0],
  description:
    "Reads the ConfigMap outrider-ledger in the operator's namespace, and the runs. After a restore nothing is started until somebody confirms with `recovery confirm`.",
  examples: [
    { what: 'Where things stand', words: 'recovery' },
    { what: 'Let work go on', words: 'recovery confirm' },
  ],
  options: {},
  formats: ['json', 'yaml'],
  run: async (context) => {
    const [ledger, unclear] = await Promise.all([readLedger(context), readUnclear(context)]);
    const { format, out } = context;
    if (format === 'json' || format === 'yaml')
      await out.write(await renderObject({ ledger: ledger.data ?? {}, unclear }, format));
    else await out.write(render(context, ledger, unclear));
    return exitStatus.ok;
  },
};

/** The generation that is confirmed goes with the word: a later restore needs one of its own. */
const confirm = async (context: Context): Promise<void> => {
  const { data = {}, metadata } = await readLedger(context);
  const { generation, state } = data;
  if (state !== 'Recovery' || generation === undefined)
    return context.note('The ledger is not in recovery: there is nothing to confirm.');
  if (metadata.annotations?.[recoveryConfirmedAnnotation] === generation)
    return context.note(
      `Recovery of generation ${generation} is confirmed already; the operator ends it within seconds.`,
    );
  const kube = await context.kube();
  await kube.request({
    method: 'PATCH',
    path: await pathOf(context),
    contentType: 'application/merge-patch+json',
    body: { metadata: { annotations: { [recoveryConfirmedAnnotation]: generation } } },
  });
  await context.out.write(`${generation}\n`);
  await context.note(
    `Confirmed: work goes on within seconds. What nobody vouched for waits for a person: ${context.program} recovery`,
  );
};

export const recoveryConfirm: Command = {
  name: 'recovery confirm',
  summary: 'Let work go on after the ledger was restored',
  operands: '',
  arity: [0, 0],
  description:
    'Needs permission to patch the ConfigMap outrider-ledger (the Role outrider-recovery has it). What no runner has vouched for then waits for a person, step by step; nothing of it is executed again by itself. Prints the generation that is confirmed.',
  examples: [{ what: 'After looking at `recovery`', words: 'recovery confirm' }],
  options: {},
  formats: [],
  run: async (context) => {
    await confirm(context);
    return exitStatus.ok;
  },
};
