import { readFile, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { OutriderError, protocolVersion, toProblem, type Problem } from '@outrider/protocol';
import { createAgent, type Agent, type AgentEnd } from './agent/agent.ts';
import { loadCa } from './agent/ca.ts';
import { readCommandLine, type CommandLine, type RunnerConfig } from './agent/config.ts';
import { privateFolder } from './agent/files.ts';
import { helpText } from './agent/help.ts';
import { createTransport } from './agent/http.ts';
import { loadKey } from './agent/key.ts';
import { createLogger, type Logger } from './agent/log.ts';
import { prepareMachine } from './agent/machine.ts';
import { register } from './agent/register.ts';
import { loadRegistration, type Registration } from './agent/registration.ts';
import { configInvalid } from './agent/settings.ts';
import { version } from './agent/version.ts';
import { createExecutionHost } from './execution/host.ts';
import { openJournal } from './journal/journal.ts';

const exitCodes = { drained: 0, error: 1, usage: 2, refused: 3 } as const;

/** Log space of one attempt at most. */
const maxSlotBytes = 64 * 1024 * 1024;

/** Codes that mean: this runner, or its token, is not welcome. */
const refusals = new Set<string>([
  'RunnerRevoked',
  'RunnerNameTaken',
  'TagNotPermitted',
  'RegistrationTokenInvalid',
  'RegistrationTokenExpired',
  'RegistrationTokenUsed',
  'ProtocolVersionUnsupported',
]);

export interface Surroundings {
  readonly argv: readonly string[];
  /** The registration token is removed from it as soon as it has been read. */
  readonly env: Record<string, string | undefined>;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Calls back on SIGTERM and SIGINT; returns the unsubscribe function. */
  readonly onSignal: (listener: () => void) => () => void;
}

const exitCodeOf = (problem: Problem): number => {
  if (problem.code === 'ConfigInvalid') return exitCodes.usage;
  return refusals.has(problem.code) ? exitCodes.refused : exitCodes.error;
};

const takeToken = async (
  env: Surroundings['env'],
  config: RunnerConfig | undefined,
): Promise<string | undefined> => {
  const fromEnvironment = env['OUTRIDER_RUNNER_TOKEN'];
  delete env['OUTRIDER_RUNNER_TOKEN'];
  if (fromEnvironment !== undefined && fromEnvironment.trim() !== '') return fromEnvironment;
  if (config?.tokenFile === undefined) return undefined;
  try {
    return await readFile(config.tokenFile, 'utf8');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw configInvalid(
      `The token file ${config.tokenFile} cannot be read: ${why}.`,
      'Correct its path or permissions.',
    );
  }
};

interface Context {
  readonly config: RunnerConfig;
  readonly token: string | undefined;
  readonly newKey: boolean;
  readonly logger: Logger;
  readonly stop: AbortSignal;
}

const joinOperator = (context: Context): Promise<Registration> => {
  const { config, token, newKey, logger, stop } = context;
  if (token === undefined) {
    throw configInvalid(
      `This runner has not joined yet (nothing in ${config.stateDir}), and no registration token is given.`,
      'Make one with `outrider runner token` and pass it in OUTRIDER_RUNNER_TOKEN or --token-file.',
    );
  }
  const { url, name, tags, stateDir, caFile, proxy } = config;
  return register({
    token,
    name,
    stateDir,
    proxy,
    newKey,
    logger,
    stop,
    ...(url === undefined ? {} : { url }),
    ...(tags === undefined ? {} : { tags }),
    ...(caFile === undefined ? {} : { caFile }),
  });
};

const sessionOf = (config: RunnerConfig) => ({
  protocolVersion,
  version,
  startedAt: new Date(performance.timeOrigin).toISOString(),
  capacity: config.capacity,
  nodes: [...config.nodes],
  ...(config.tags === undefined ? {} : { tags: [...config.tags] }),
});

const connect = async (config: RunnerConfig, registration: Registration) => {
  const key = await loadKey(config.stateDir);
  if (key === undefined) {
    throw configInvalid(
      `The key of this runner is missing from ${config.stateDir}.`,
      'Restore key.json, or join anew with a registration token: `outrider-runner register --new-key`.',
    );
  }
  const { caFile, stateDir, proxy } = config;
  const ca = await loadCa({ stateDir, ...(caFile === undefined ? {} : { caFile }) });
  const url = config.url ?? registration.url;
  return { key, transport: createTransport({ url, proxy, ...(ca === undefined ? {} : { ca }) }) };
};

const endedAs = (end: AgentEnd, logger: Logger): number => {
  if (end.kind === 'Fatal') throw end.error;
  if (!end.delivered) logger.warn('not everything was reported; the rest follows at the next start');
  else logger.info('drained');
  return end.delivered ? exitCodes.drained : exitCodes.error;
};

const work = async (context: Context, onAgent: (agent: Agent) => void): Promise<number> => {
  const { config, logger } = context;
  const registration = (await loadRegistration(config.stateDir)) ?? (await joinOperator(context));
  await privateFolder(config.stateDir);
  // First: it holds the lock of the state folder.
  const folder = join(config.stateDir, 'journal');
  const journal = await openJournal({
    folder,
    onCut: (bytes) =>
      logger.warn('the end of the journal was cut or damaged and is left out; it had not been acknowledged', {
        folder,
        bytes,
      }),
    maxBytes: config.journalBytes,
    // Twice the slots: finished attempts keep their logs until the operator has them.
    slotBytes: Math.min(maxSlotBytes, Math.floor(config.journalBytes / (2 * config.capacity))),
  });
  const { key, transport } = await connect(config, registration);
  const machine = await prepareMachine(config);
  const host = createExecutionHost({ journal, machine });
  const agent = createAgent({
    transport,
    key,
    clientId: registration.clientId,
    journal,
    host,
    session: sessionOf(config),
    proxy: config.proxy,
    drainTimeoutMs: config.drainTimeoutMs,
    logger,
  });
  onAgent(agent);
  const { namespace, name } = registration;
  logger.info('starting', { namespace, name, url: transport.url, version, capacity: config.capacity });
  try {
    return endedAs(await agent.run(), logger);
  } finally {
    await host.close();
    await rm(machine.secretsDir, { recursive: true, force: true });
    await journal.close();
    await transport.close();
  }
};

const execute = async (line: CommandLine, surroundings: Surroundings): Promise<number> => {
  const { env, err, onSignal } = surroundings;
  const config = await line.config();
  const token = await takeToken(env, config);
  const logger = createLogger({ format: config.logFormat, write: err });
  const joining = new AbortController();
  let agent: Agent | undefined;
  const unsubscribe = onSignal(() => {
    if (agent === undefined) joining.abort();
    else agent.interrupt();
  });
  const context: Context = { config, token, newKey: line.newKey, logger, stop: joining.signal };
  try {
    if (line.command === 'run') return await work(context, (created) => (agent = created));
    await joinOperator(context);
    return exitCodes.drained;
  } finally {
    unsubscribe();
  }
};

const dispatch = async (surroundings: Surroundings): Promise<number> => {
  const { argv, env, out } = surroundings;
  const line = readCommandLine(argv, env);
  if (line.help || line.command === 'help') {
    out(helpText());
    return 0;
  }
  if (line.command === 'version') {
    out(
      `outrider-runner ${version} (protocol ${protocolVersion}, node ${process.versions.node}, ${hostname()})\n`,
    );
    return 0;
  }
  if (line.command !== 'run' && line.command !== 'register') {
    const what = line.command === '' ? 'No command is given' : `There is no command "${line.command}"`;
    throw configInvalid(`${what}.`, 'Use run, register, version or help; see `outrider-runner help`.');
  }
  return execute(line, surroundings);
};

/** The program; resolves with its exit status and never rejects. */
export const main = async (surroundings: Surroundings): Promise<number> => {
  try {
    return await dispatch(surroundings);
  } catch (error) {
    const problem = error instanceof OutriderError ? error : toProblem(error);
    surroundings.err(`error ${problem.code}: ${problem.message}\n  → ${problem.action}\n`);
    return exitCodeOf(problem);
  } finally {
    delete surroundings.env['OUTRIDER_RUNNER_TOKEN'];
  }
};

if (import.meta.main) {
  process.exitCode = await main({
    argv: process.argv.slice(2),
    env: process.env,
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    onSignal: (listener) => {
      process.on('SIGTERM', listener);
      process.on('SIGINT', listener);
      return () => {
        process.off('SIGTERM', listener);
        process.off('SIGINT', listener);
      };
    },
  });
}
