import operatorModule from '@dot-i/k8s-operator';
import type { KubeConfig } from '@kubernetes/client-node';
import type { Logger } from './logger.ts';

export interface ShellOptions {
  readonly logger: Logger;
  /** Starts everything; the signal ends it. */
  readonly start: (shell: { kubeConfig: KubeConfig; signal: AbortSignal }) => Promise<Running>;
  /** Longest graceful stop in milliseconds; after it the exit code is 1. @default 9,000 (within the 10 s that a stop may take) */
  readonly graceMs?: number;
  /** Where SIGTERM and SIGINT come from. @default process */
  readonly signals?: NodeJS.EventEmitter;
}

export interface Running {
  /** Ends gracefully. */
  stop(): Promise<void>;
}

/**
 * The library's Operator as what it is good for: loading the kubeconfig, init, start, stop. Its watches, queue, status and
 * finalizer helpers are never called: they lose errors and end the process when a watch fails.
 */
class Shell extends operatorModule.default {
  readonly #options: ShellOptions;
  readonly #abort = new AbortController();
  #running: Running | undefined;

  constructor(options: ShellOptions) {
    const { logger } = options;
    super({
      debug: (message) => logger.debug({}, message),
      info: (message) => logger.info({}, message),
      warn: (message) => logger.warn({}, message),
      error: (message) => logger.error({}, message),
    });
    this.#options = options;
  }

  protected override async init(): Promise<void> {
    this.#running = await this.#options.start({ kubeConfig: this.kubeConfig, signal: this.#abort.signal });
  }

  override stop(): void {
    super.stop();
    this.#abort.abort();
  }

  async stopped(): Promise<void> {
    await this.#running?.stop();
  }
}

/**
 * Runs until SIGTERM or SIGINT, then stops gracefully; a second signal does not wait. Resolves with the exit code: 0 after
 * a clean stop, 1 if starting or stopping failed or took too long.
 */
export const runProcess = async (options: ShellOptions): Promise<number> => {
  const { logger, graceMs = 9000, signals = process } = options;
  const asked = Promise.withResolvers<string>();
  const again = Promise.withResolvers<string>();
  const onSignal = (signal: string): void => {
    asked.resolve(signal);
    if (stopping) again.resolve('a second signal');
  };
  let stopping = false;
  signals.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  try {
    const shell = new Shell(options);
    const started = shell.start();
    const early = await Promise.race([started, asked.promise]);
    const signal = early ?? (await asked.promise);
    stopping = true;
    logger.info({ signal }, 'stopping');
    shell.stop();
    return await gracefully(options, {
      done: started.then(() => shell.stopped()),
      impatient: again.promise,
      graceMs,
    });
  } catch (error) {
    logger.error({ err: error }, 'could not start');
    return 1;
  } finally {
    signals.removeListener('SIGTERM', onSignal).removeListener('SIGINT', onSignal);
  }
};

const gracefully = async (
  { logger }: ShellOptions,
  { done, impatient, graceMs }: { done: Promise<void>; impatient: Promise<string>; graceMs: number },
): Promise<number> => {
  const { promise: late, resolve } = Promise.withResolvers<string>();
  const timer = setTimeout(() => resolve(`${graceMs / 1000} s are over`), graceMs);
  try {
    const hurry = await Promise.race([done, impatient, late]);
    if (hurry === undefined) return 0;
    logger.error({ why: hurry }, 'not everything has stopped; exiting all the same');
  } catch (error) {
    logger.error({ err: error }, 'could not stop cleanly');
  } finally {
    clearTimeout(timer);
  }
  return 1;
};
