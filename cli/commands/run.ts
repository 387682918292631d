import { apiVersion, type Workflow, type WorkflowRun } from '@outrider/kinds';
import type { Arguments } from '../arguments.ts';
import type { Command } from '../command.ts';
import type { Context } from '../context.ts';
import { CliError, exitStatus } from '../errors.ts';
import { showLive } from '../follow-run.ts';
import type { KubeClient } from '../kube/client.ts';
import { resourcePath } from '../kube/paths.ts';
import { nearest } from '../nearest.ts';
import { renderObject } from '../output/objects.ts';
import { parseAssignments, typeParameters, type ParameterValue } from './parameters.ts';

/** How long the portal may take to hear of a run from the API server. */
const appearsWithinMs = 15_000;

interface Place {
  readonly namespace: string;
  readonly workflow: string;
}

const similarNames = async (kube: KubeClient, namespace: string): Promise<readonly string[]> => {
  try {
    const path = `${resourcePath(namespace, 'workflows')}?limit=500`;
    const { items } = await kube.request<{ readonly items: readonly Workflow[] }>({ method: 'GET', path });
    return items.map(({ metadata }) => metadata.name);
  } catch {
    return [];
  }
};

const missing = async (kube: KubeClient, { namespace, workflow }: Place): Promise<CliError> => {
  const guess = nearest(workflow, await similarNames(kube, namespace));
  return new CliError({
    code: 'WorkflowNotFound',
    message: `Namespace ${namespace} has no Workflow "${workflow}".`,
    action:
      guess === undefined
        ? `See \`kubectl -n ${namespace} get workflows\`, or choose another namespace with -n.`
        : `Did you mean "${guess}"? See \`kubectl -n ${namespace} get workflows\`.`,
  });
};

/** Parameters in the types that the workflow declares; who may run it but not read it can give none. */
const parametersFor = async (
  kube: KubeClient,
  place: Place,
  given: ReadonlyMap<string, string>,
): Promise<Readonly<Record<string, ParameterValue>>> => {
  try {
    const path = resourcePath(place.namespace, 'workflows', place.workflow);
    const { spec } = await kube.request<Workflow>({ method: 'GET', path });
    return typeParameters(place, spec.parameters ?? [], given);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    if (error.code === 'NotFound') throw await missing(kube, place);
    if (error.code === 'Forbidden' && given.size === 0) return {};
    throw error;
  }
};

const createRun = async (context: Context, args: Arguments, place: Place): Promise<WorkflowRun> => {
  const kube = await context.kube();
  const given = parseAssignments(args.list('param'));
  const [parameters, { username }] = await Promise.all([parametersFor(kube, place, given), kube.whoAmI()]);
  const name = args.text('name');
  const startDeadline = args.text('start-deadline');
  const priority = args.integer('priority', -1000, 1000);
  return kube.request<WorkflowRun>({
    method: 'POST',
    path: `${resourcePath(place.namespace, 'workflowruns')}?fieldValidation=Strict`,
    body: {
      apiVersion,
      kind: 'WorkflowRun',
      metadata: name === undefined ? { generateName: `${place.workflow}-` } : { name },
      spec: {
        workflowRef: { name: place.workflow },
        ...(Object.keys(parameters).length === 0 ? {} : { parameters }),
        ...(priority === undefined ? {} : { priority }),
        ...(startDeadline === undefined ? {} : { startDeadline }),
        requestedBy: username,
      },
    },
  });
};

const follow = async (context: Context, { metadata }: WorkflowRun): Promise<number> => {
  const { namespace, name } = metadata;
  const cancel = `${context.program} cancel ${name} -n ${namespace}`;
  await context.note(`Run ${name} is created. Ctrl-C stops watching, not the run.`);
  const last = await showLive(context, { namespace, run: name, appearsWithinMs });
  if (context.interrupted.aborted) {
    // The terminal has just written ^C without a line end.
    if (context.err.isTTY) await context.note('');
    await context.note(
      `The run goes on. To see it again: ${context.program} logs ${name} -n ${namespace} -f`,
    );
    await context.note(`To cancel it: ${cancel}`);
    return exitStatus.interrupted;
  }
  if (last?.phase === 'Succeeded') return exitStatus.ok;
  await context.note(`To see why: ${context.program} describe ${name} -n ${namespace}`);
  return last?.phase === 'Cancelled' ? exitStatus.cancelled : exitStatus.failed;
};

const announce = async (context: Context, run: WorkflowRun): Promise<void> => {
  const { name, namespace } = run.metadata;
  if (context.format === 'json' || context.format === 'yaml')
    return context.out.write(await renderObject(run, context.format));
  await context.out.write(`${name}\n`);
  if (context.out.isTTY) await context.note(`Follow it: ${context.program} logs ${name} -n ${namespace} -f`);
};

export const run: Command = {
  name: 'run',
  summary: 'Start a workflow, and watch it with --follow',
  operands: 'WORKFLOW',
  arity: [1, 1],
  description:
    'Creates a WorkflowRun through Kubernetes as yourself and prints its name. With --follow it shows the log until the run has ended: exit status 0 when it succeeded, 1 when it failed, 3 when it was cancelled. Ctrl-C stops watching; the run goes on.',
  examples: [
    { what: 'Start it and watch', words: 'run restart-payment-service --follow' },
    { what: 'With parameters', words: 'run patch-servers -p env=Prod -p batch=10' },
    { what: 'Before everything else that waits', words: 'run restart-payment-service --priority 100' },
    { what: 'In a script: the name for later', words: 'run nightly-cleanup -n ops -o name' },
  ],
  options: {
    param: {
      type: 'string',
      short: 'p',
      multiple: true,
      value: 'NAME=VALUE',
      help: 'A parameter; may be repeated.',
    },
    follow: { type: 'boolean', short: 'f', help: 'Show the log until the run has ended.' },
    name: {
      type: 'string',
      value: 'NAME',
      help: "Name of the run; the workflow's with a random end when absent.",
    },
    priority: {
      type: 'string',
      value: 'N',
      help: "From -1000 to 1000: where runners are short, higher ones go first; the workflow's when absent.",
    },
    'start-deadline': {
      type: 'string',
      value: 'DURATION',
      help: 'A run that could not start within this time fails as Expired; 24h when absent.',
    },
  },
  formats: ['json', 'yaml', 'name'],
  run: async (context, args) => {
    const [workflow = ''] = args.positionals;
    const created = await createRun(context, args, { namespace: await context.namespace(), workflow });
    if (args.flag('follow')) return follow(context, created);
    await announce(context, created);
    return exitStatus.ok;
  },
};
