import { setTimeout as delay } from 'node:timers/promises';
import { apiVersion, type Decision, type RunDecision, type WorkflowRun } from '@outrider/kinds';
import type { Arguments } from '../arguments.ts';
import type { Command } from '../command.ts';
import type { Context } from '../context.ts';
import { CliError, exitStatus, usageError } from '../errors.ts';
import { resourcePath } from '../kube/paths.ts';
import { renderObject } from '../output/objects.ts';

/** The flag of each decision. */
const flags: Readonly<Record<Decision, string>> = {
  Succeeded: 'succeeded',
  Failed: 'failed',
  Retry: 'retry',
  Release: 'release',
};
const decisions: readonly Decision[] = ['Succeeded', 'Failed', 'Retry', 'Release'];

interface Wanted {
  readonly namespace: string;
  readonly run: string;
  readonly step: string;
  readonly target: string | undefined;
  readonly attempt: number;
  readonly decision: Decision;
  readonly reason: string;
}

const decisionFrom = (args: Arguments): Decision => {
  const given = decisions.filter((decision) => args.flag(flags[decision]));
  const [decision] = given;
  if (decision !== undefined && given.length === 1) return decision;
  throw usageError(
    given.length === 0
      ? 'Nothing is decided.'
      : `${given.map((each) => `--${flags[each]}`).join(' and ')} exclude each other.`,
    'Give exactly one of --succeeded, --failed, --retry and --release.',
  );
};

const attemptFrom = (context: Context, args: Arguments, run: string): number => {
  const attempt = args.count('attempt', 1);
  if (attempt !== undefined) return attempt;
  throw usageError(
    'The attempt that is decided on is not given.',
    `Give it with --attempt N, as \`${context.program} describe ${run}\` shows it: so the decision cannot meet a later one.`,
  );
};

const reasonFrom = (args: Arguments): string => {
  const reason = args.text('reason')?.trim() ?? '';
  if (reason !== '') return reason;
  throw usageError('No reason is given.', 'Say with --reason "…" what was found on the target; it is kept.');
};

const wantedFrom = async (context: Context, args: Arguments): Promise<Wanted> => {
  const [run = '', step = ''] = args.positionals;
  return {
    decision: decisionFrom(args),
    attempt: attemptFrom(context, args, run),
    reason: reasonFrom(args),
    target: args.text('target'),
    run,
    step,
    namespace: await context.namespace(),
  };
};

const create = async (context: Context, wanted: Wanted): Promise<RunDecision> => {
  const { namespace, run: name, step, target, attempt, decision, reason } = wanted;
  const kube = await context.kube();
  const path = resourcePath(namespace, 'workflowruns', name);
  const [run, { username }] = await Promise.all([
    kube.request<WorkflowRun>({ method: 'GET', path }),
    kube.whoAmI(),
  ]);
  const { uid } = run.metadata;
  return kube.request<RunDecision>({
    method: 'POST',
    path: `${resourcePath(namespace, 'rundecisions')}?fieldValidation=Strict`,
    body: {
      apiVersion,
      kind: 'RunDecision',
      // Owned, so that it goes when its run goes.
      metadata: {
        generateName: `${name}-`,
        ownerReferences: [{ apiVersion, kind: 'WorkflowRun', name, uid }],
      },
      spec: {
        runRef: { name, uid },
        workflow: run.spec.workflowRef.name,
        step,
        ...(target === undefined ? {} : { target }),
        attempt,
        decision,
        reason,
        decidedBy: username,
      },
    },
  });
};

type Applied = NonNullable<NonNullable<RunDecision['status']>['conditions']>[number];

const appliedOf = ({ status }: RunDecision): Applied | undefined =>
  status?.conditions?.find(({ type }) => type === 'Applied');

/** The operator answers within a second; it may be just being restarted. */
const answerMs = 250;
const answers = 60;

/** The decision with the operator's verdict on it, or without where that does not come or may not be read. */
const awaitVerdict = async (
  context: Context,
  { metadata }: RunDecision,
): Promise<RunDecision | undefined> => {
  const kube = await context.kube();
  const path = resourcePath(metadata.namespace, 'rundecisions', metadata.name);
  try {
    for (let asked = 0; asked < answers && !context.interrupted.aborted; asked += 1) {
      const decision = await kube.request<RunDecision>({ method: 'GET', path });
      if (appliedOf(decision)) return decision;
      await delay(answerMs);
    }
  } catch (error) {
    if (!(error instanceof CliError && error.code === 'Forbidden')) throw error;
  }
  return undefined;
};

const report = async (context: Context, wanted: Wanted, decision: RunDecision): Promise<void> => {
  const { name, namespace } = decision.metadata;
  const judged = await awaitVerdict(context, decision);
  const applied = judged && appliedOf(judged);
  if (applied?.status === 'False')
    throw new CliError({
      code: applied.reason,
      message: applied.message,
      action: `See \`${context.program} describe ${wanted.run} -n ${namespace}\`.`,
    });
  const { format, out } = context;
  if (format === 'json' || format === 'yaml') await out.write(await renderObject(judged ?? decision, format));
  else await out.write(`${name}\n`);
  await context.note(
    applied
      ? `Applied: ${wanted.decision}. To see the run go on: ${context.program} logs ${wanted.run} -n ${namespace} -f`
      : `Decided, and not applied yet. To see what became of it: kubectl -n ${namespace} get rundecision ${name} -o wide`,
  );
};

export const decide: Command = {
  name: 'decide',
  summary: 'Say what became of a step whose end is not known',
  operands: 'RUN STEP',
  arity: [2, 2],
  description:
    'Look on the target first. The decision is yours by name, is kept in the history of the run, and needs the verb approve on its workflow. It counts for the attempt that you name and for no later one. Prints the name of the RunDecision.',
  examples: [
    {
      what: 'The work was done: the run goes on',
      words: 'decide patch-4fh2d reboot --attempt 1 --succeeded --reason "the kernel is the new one"',
    },
    {
      what: 'It was not done, and may be executed again',
      words: 'decide patch-4fh2d reboot --target web-1 --attempt 1 --retry --reason "uptime 40 days"',
    },
    {
      what: 'Nothing of an attempt runs on the target any more: others may use it',
      words: 'decide patch-4fh2d reboot --attempt 1 --release --reason "no such process"',
    },
  ],
  options: {
    attempt: { type: 'string', value: 'N', help: 'Number of the attempt that is decided on.' },
    succeeded: { type: 'boolean', help: 'The work was done: the step has succeeded.' },
    failed: { type: 'boolean', help: 'It was not done: the step fails.' },
    retry: { type: 'boolean', help: 'It is executed again.' },
    release: { type: 'boolean', help: 'The attempt no longer acts on its target: others may.' },
    reason: { type: 'string', value: 'TEXT', help: 'What was found on the target.' },
    target: { type: 'string', value: 'NAME', help: 'Target, where the step has several.' },
  },
  formats: ['json', 'yaml', 'name'],
  run: async (context, args) => {
    const wanted = await wantedFrom(context, args);
    await report(context, wanted, await create(context, wanted));
    return exitStatus.ok;
  },
};
