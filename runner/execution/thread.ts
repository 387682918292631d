import { Worker } from 'node:worker_threads';
import type { FromWorker, ToWorker, WorkerSettings } from './messages.ts';

/** What executors and their children may see of the runner's environment: nothing that is meant to hold a credential. */
const passedOn = [
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'LANG',
  'LC_ALL',
  'LC_CTYPE',
  'TZ',
  'TMPDIR',
  'XDG_RUNTIME_DIR',
  'HTTPS_PROXY',
  'HTTP_PROXY',
  'NO_PROXY',
  'https_proxy',
  'http_proxy',
  'no_proxy',
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'KUBERNETES_SERVICE_HOST',
  'KUBERNETES_SERVICE_PORT',
];

/** A proxy address may hold a password after all. */
const holdsPassword = (value: string): boolean => /:\/\/[^/]*@/.test(value);

const environment = (): Record<string, string> =>
  Object.fromEntries(
    passedOn.flatMap((name) => {
      const value = process.env[name];
      return value === undefined || holdsPassword(value) ? [] : [[name, value]];
    }),
  );

/** Sources beside sources; the bundle has worker.js beside its own file. */
const fromSources = import.meta.url.endsWith('.ts');
const workerUrl = new URL(fromSources ? './worker.ts' : './worker.js', import.meta.url);

/** Signs of life that the thread itself answers are no business of others. */
export type Report = Exclude<FromWorker, { readonly type: 'ready' | 'pong' }>;

export interface ThreadListener {
  message(message: Report): void;
  /** The thread is gone. `cause` is not redacted; `wasReady`: it had loaded and taken messages. */
  exit(cause: string, wasReady: boolean): void;
}

/** Pings that may stay unanswered; more while the thread starts, which reads its modules from disk. */
const silenceLimit = 4;
const startLimit = 24;

/**
 * The worker thread. It is given nothing by arguments or environment, and its own prints go nowhere.
 *
 * It is pinged four times in `hangMs`, and ended when it is silent for that long: an executor then blocks it, and with
 * it every other attempt. Pings are counted, not timed, so that a suspended machine does not look like a blocked thread.
 */
export class Thread {
  readonly #worker: Worker;
  readonly #watch: NodeJS.Timeout;
  #ready = false;
  #unanswered = 0;

  constructor(settings: WorkerSettings, hangMs: number, listener: ThreadListener) {
    this.#worker = new Worker(workerUrl, {
      workerData: settings,
      env: environment(),
      argv: [],
      execArgv: fromSources ? ['--conditions=development'] : [],
      stdout: true,
      stderr: true,
      name: 'executors',
    });
    let cause: string | undefined;
    this.#worker.stdout.resume();
    this.#worker.stderr.resume();
    this.#worker.on('message', (message: FromWorker) => {
      this.#unanswered = 0;
      if (message.type === 'ready') this.#ready = true;
      else if (message.type !== 'pong') listener.message(message);
    });
    this.#worker.on('error', (error: unknown) => {
      cause = error instanceof Error ? error.message : String(error);
    });
    this.#worker.on('exit', (code) => {
      clearInterval(this.#watch);
      const silent = this.#isSilent() ? 'it did not answer, an executor blocked it' : `exit code ${code}`;
      listener.exit(cause ?? silent, this.#ready);
    });
    this.#watch = setInterval(() => this.#ping(), hangMs / silenceLimit).unref();
  }

  post(message: ToWorker): void {
    this.#worker.postMessage(message, []);
  }

  #ping(): void {
    if (this.#isSilent()) return void this.terminate();
    this.#unanswered += 1;
    this.post({ type: 'ping' });
  }

  #isSilent(): boolean {
    return this.#unanswered >= (this.#ready ? silenceLimit : startLimit);
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }
}
