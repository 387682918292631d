import { OutriderError } from '@outrider/protocol';
import { findProgram } from '@outrider/transports/local-process';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { attemptEnvironment, interpreterWords, requireScript } from '../attempt.ts';
import type { Executor, TaskContext } from '../contract.ts';
import { inheritedEnvironment, reapLocal, runLocally } from '../local-child.ts';

export const execute: Executor = async (context) => {
  requireLocalExec(context);
  const script = requireScript(context);
  const env = { ...inheritedEnvironment(), ...attemptEnvironment(context) };
  const folders = await privateFolders(context);
  try {
    const cwd = await workingFolder(context, folders.work);
    const [program, ...args] = interpreterWords(context.spec.input.interpreter);
    const interpreter = findProgram(program, env['PATH'] ?? '', cwd);
    if (interpreter === undefined) throw interpreterNotFound(program);
    const file = join(folders.secret, 'script');
    await writeFile(file, script, { mode: 0o600 });
    return await runLocally(context, {
      file: interpreter,
      args: [...args, file],
      cwd,
      env,
      what: 'The script',
    });
  } finally {
    await Promise.all(Object.values(folders).map((folder) => rm(folder, { recursive: true, force: true })));
  }
};

export const reap = reapLocal;

function requireLocalExec({ machine, spec }: TaskContext): void {
  if (machine.localExec) return;
  throw new OutriderError({
    code: 'LocalExecNotAllowed',
    message: `Step ${spec.step} would run code on the runner itself, which this machine's configuration does not permit.`,
    action:
      "Set localExec: true in the runner's own configuration, or send the step to a runner that has it.",
  });
}

/** One for the script, which may hold secrets, and one to work in. */
async function privateFolders({ machine }: TaskContext): Promise<{ secret: string; work: string }> {
  await Promise.all(
    [machine.secretsDir, machine.workDir].map((each) => mkdir(each, { recursive: true, mode: 0o700 })),
  );
  const [secret, work] = await Promise.all([
    mkdtemp(join(machine.secretsDir, 'local-')),
    mkdtemp(join(machine.workDir, 'local-')),
  ]);
  return { secret, work };
}

async function workingFolder({ spec }: TaskContext, own: string): Promise<string> {
  const { workdir } = spec.input;
  if (workdir === undefined) return own;
  const found = await stat(workdir).catch(() => undefined);
  if (found?.isDirectory()) return workdir;
  throw new OutriderError({
    code: 'CommandInvalid',
    message: `The working folder ${workdir} of step ${spec.step} does not exist on the runner.`,
    action: 'Create it there, or leave workdir out to work in a new, private folder.',
  });
}

const interpreterNotFound = (program: string): OutriderError =>
  new OutriderError({
    code: 'InterpreterNotFound',
    message: `The interpreter ${program} does not exist on the runner, or may not be executed.`,
    action: 'Install it there, or set interpreter to one that is there; /bin/sh is used when it is absent.',
  });
