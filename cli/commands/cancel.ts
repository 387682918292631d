import type { WorkflowRun } from '@outrider/kinds';
import type { Command } from '../command.ts';
import type { Context } from '../context.ts';
import { CliError, exitStatus, toCliError } from '../errors.ts';
import { resourcePath } from '../kube/paths.ts';

const cancelOne = async (context: Context, namespace: string, name: string): Promise<void> => {
  const kube = await context.kube();
  const run = await kube.request<WorkflowRun>({
    method: 'PATCH',
    path: `${resourcePath(namespace, 'workflowruns', name)}?fieldValidation=Strict`,
    contentType: 'application/merge-patch+json',
    body: { spec: { desiredState: 'Cancelled' } },
  });
  if (run.status?.completionTime !== undefined)
    return context.note(`Run ${name} had ended before: ${run.status.phase ?? 'Unknown'}.`);
  await context.out.write(`${name}\n`);
  await context.note(
    `Run ${name} is being cancelled: what executes is killed on its target. To see it end: ${context.program} logs ${name} -n ${namespace} -f`,
  );
};

/** Cancels every one that can be: a misspelt name must not keep the others running. @throws CliError that names all that failed. */
const cancelAll = async (context: Context, namespace: string, names: readonly string[]): Promise<void> => {
  const failures: CliError[] = [];
  for (const name of names)
    await cancelOne(context, namespace, name).catch((error: unknown) => failures.push(toCliError(error)));
  const [first, ...more] = failures;
  if (!first) return;
  if (more.length === 0) throw first;
  const message = failures.map((failure) => failure.message).join('; ');
  throw new CliError({ code: first.code, message, action: first.action }, { cause: first });
};

export const cancel: Command = {
  name: 'cancel',
  summary: 'Cancel runs: kill what executes, start nothing more',
  operands: 'RUN…',
  arity: [1, Infinity],
  description: 'Final: a cancelled run stays so. Prints the names of the runs that are being cancelled.',
  examples: [
    { what: 'One run', words: 'cancel restart-x7k2p' },
    { what: 'Several', words: 'cancel patch-4fh2d patch-9kq7s -n ops' },
  ],
  options: {},
  formats: [],
  run: async (context, args) => {
    await cancelAll(context, await context.namespace(), args.positionals);
    return exitStatus.ok;
  },
};
