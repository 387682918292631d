import type { WorkflowRun, WorkflowRunSpec } from '@outrider/kinds';
import type { Command } from '../command.ts';
import type { Context } from '../context.ts';
import { CliError, exitStatus, toCliError } from '../errors.ts';
import { resourcePath } from '../kube/paths.ts';

export type DesiredState = NonNullable<WorkflowRunSpec['desiredState']>;

export interface StateChange {
  readonly to: DesiredState;
  /** What is said of a run that takes the change; `ref` is `NAME -n NAMESPACE`. */
  readonly note: (context: Context, name: string, ref: string) => string;
}

const changeOne = async (
  context: Context,
  run: { readonly namespace: string; readonly name: string },
  { to, note }: StateChange,
): Promise<void> => {
  const { namespace, name } = run;
  const kube = await context.kube();
  const { status } = await kube.request<WorkflowRun>({
    method: 'PATCH',
    path: `${resourcePath(namespace, 'workflowruns', name)}?fieldValidation=Strict`,
    contentType: 'application/merge-patch+json',
    body: { spec: { desiredState: to } },
  });
  if (status?.completionTime !== undefined)
    return context.note(`Run ${name} had ended before: ${status.phase ?? 'Unknown'}.`);
  await context.out.write(`${name}\n`);
  await context.note(note(context, name, `${name} -n ${namespace}`));
};

/** Changes every one that can be: a misspelt name must not keep the others as they are. @throws CliError that names all that failed. */
const changeAll = async (context: Context, names: readonly string[], change: StateChange): Promise<void> => {
  const namespace = await context.namespace();
  const failures: CliError[] = [];
  for (const name of names)
    await changeOne(context, { namespace, name }, change).catch((error: unknown) =>
      failures.push(toCliError(error)),
    );
  const [first, ...more] = failures;
  if (!first) return;
  if (more.length === 0) throw first;
  const message = failures.map((failure) => failure.message).join('; ');
  throw new CliError({ code: first.code, message, action: first.action }, { cause: first });
};

/** A verb that sets what is wanted of runs. */
export const stateCommand = (
  words: Pick<Command, 'name' | 'summary' | 'description' | 'examples'>,
  change: StateChange,
): Command => ({
  ...words,
  operands: 'RUN…',
  arity: [1, Infinity],
  options: {},
  formats: [],
  run: async (context, args) => {
    await changeAll(context, args.positionals, change);
    return exitStatus.ok;
  },
});
