import { OutriderError } from '@outrider/protocol';
import { findProgram } from '@outrider/transports/local-process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { attemptEnvironment, interpreterWords } from '../attempt.ts';
import type { Executor, ExecutorResult, TaskContext } from '../contract.ts';
import { inheritedEnvironment, PROXIES, reapLocal, runLocally } from '../local-child.ts';
import { checkCommand } from './flags.ts';
import { pinnedKubeconfig } from './kubeconfig.ts';
import { quoteLine } from './quote.ts';
import { splitCommands, type CommandLine } from './split.ts';

export const execute: Executor = async (context) => {
  const { command, script } = context.spec.input;
  if (script !== undefined) return runScript(context, script);
  if (command !== undefined) return runCommands(context, command);
  throw new OutriderError({
    code: 'CommandInvalid',
    message: `Step ${context.spec.step} has neither command nor script.`,
    action: 'Set command: one kubectl call a line.',
  });
};

export const reap = reapLocal;

async function runCommands(context: TaskContext, text: string): Promise<ExecutorResult> {
  const lines = splitCommands(text);
  const { namespace } = context.connection;
  for (const line of lines) checkCommand(line, { namespace, localFiles: context.machine.localExec });
  const own = ownEnvironment(context);
  const kubectl = requireKubectl(context);
  return withKubeconfig(context, async ({ folder, env }) => {
    const base = inheritedEnvironment(['PATH', ...PROXIES]);
    return eachLine(context, lines, { file: kubectl, cwd: folder, env: { ...base, ...own, ...env } });
  });
}

/** No shell reads it, so that a variable could only change kubectl itself: KUBECONFIG, HTTPS_PROXY, KUBECTL_EXTERNAL_DIFF. */
function ownEnvironment(context: TaskContext): Record<string, string> {
  const env = attemptEnvironment(context);
  const other = Object.keys(env).find((name) => !name.startsWith('OUTRIDER_'));
  if (other === undefined) return env;
  throw new OutriderError({
    code: 'CommandInvalid',
    message: `Step ${context.spec.step} sets env ${other}, but a command of kubectl-exec runs without a shell and reads no environment.`,
    action: 'Remove env, or use script, which needs the permission for local-exec.',
  });
}

interface Tool {
  readonly file: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Said on each call, a pinned namespace holds for manifests too: kubectl refuses objects that name another. */
function pinnedArguments(words: readonly string[], namespace: string | undefined): readonly string[] {
  const args = words.slice(1);
  return namespace === undefined ? args : [`--namespace=${namespace}`, ...args];
}

/** The first line that fails ends it. */
async function eachLine(
  context: TaskContext,
  lines: readonly CommandLine[],
  tool: Tool,
): Promise<ExecutorResult> {
  let result: ExecutorResult = { outcome: 'Succeeded', exitCode: 0 };
  for (const { line, words } of lines) {
    await context.note(`+ ${quoteLine(words)}`);
    const what = lines.length === 1 ? 'kubectl' : `kubectl on line ${line}`;
    result = await runLocally(context, {
      ...tool,
      args: pinnedArguments(words, context.connection.namespace),
      what,
    });
    if (result.outcome !== 'Succeeded') break;
  }
  return result;
}

async function runScript(context: TaskContext, script: string): Promise<ExecutorResult> {
  const { machine, spec } = context;
  if (!machine.localExec) {
    throw new OutriderError({
      code: 'LocalExecNotAllowed',
      message: `The script of step ${spec.step} would run in a shell on the runner, which this machine's configuration does not permit.`,
      action:
        'Use command (kubectl calls without a shell), or send the step to a runner that permits local-exec.',
    });
  }
  requireKubectl(context);
  const own = attemptEnvironment(context);
  const [program, ...args] = interpreterWords(spec.input.interpreter);
  return withKubeconfig(context, async ({ folder, env }) => {
    const base = { ...inheritedEnvironment(), ...own };
    const interpreter = findProgram(program, base['PATH'] ?? '', folder);
    if (interpreter === undefined) {
      throw new OutriderError({
        code: 'InterpreterNotFound',
        message: `The interpreter ${program} does not exist on the runner, or may not be executed.`,
        action:
          'Install it there, or set interpreter to one that is there; /bin/sh is used when it is absent.',
      });
    }
    const file = join(folder, 'script');
    await writeFile(file, script, { mode: 0o600 });
    const everything = { file: interpreter, args: [...args, file], cwd: folder, env: { ...base, ...env } };
    return runLocally(context, { ...everything, what: 'The script' });
  });
}

function requireKubectl({ machine }: TaskContext): string {
  const path = inheritedEnvironment(['PATH'])['PATH'] ?? '';
  const kubectl = findProgram(machine.kubectl, path, '/');
  if (kubectl !== undefined) return kubectl;
  throw new OutriderError({
    code: 'KubectlMissing',
    message: `This runner has no kubectl: ${machine.kubectl} does not exist${machine.kubectl.includes('/') ? '' : ' in its PATH'}, or may not be executed.`,
    action:
      "Install kubectl there, set kubectl in the runner's configuration to its path, or send the step to a runner that has it.",
  });
}

interface Place {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
}

/** A private folder with the kubeconfig in it, for as long as `use` takes. */
async function withKubeconfig(
  context: TaskContext,
  use: (place: Place) => Promise<ExecutorResult>,
): Promise<ExecutorResult> {
  const { secretsDir } = context.machine;
  const { text, described } = await pinnedKubeconfig(context);
  await mkdir(secretsDir, { recursive: true, mode: 0o700 });
  const folder = await mkdtemp(join(secretsDir, 'kubectl-'));
  try {
    const file = join(folder, 'kubeconfig');
    await writeFile(file, text, { mode: 0o600 });
    await context.note(`using ${described}`);
    return await use({ folder, env: { KUBECONFIG: file, HOME: folder, KUBECTL_KUBERC: 'false' } });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
