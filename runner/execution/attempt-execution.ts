import { OutriderError } from '@outrider/protocol';
import type {
  ExecutorResult,
  Handle,
  OutputOffsets,
  RunnerMachine,
  StopReason,
  TaskContext,
} from '@outrider/nodes/contract';
import type { SecretSet } from '../redaction/redactor.ts';
import { createMicrosecondClock, instantOf } from './clock.ts';
import type { ExecutionRequest } from './contract.ts';
import type { ExecutorModule, ExecutorTable } from './executor-table.ts';
import type { EndedAttempt, Question } from './messages.ts';
import { OutputPipe } from './output-pipe.ts';
import { secretsOf } from './secret-sets.ts';
import { timeoutOf } from './timeout.ts';
import { finalVerdict, neverEntered, overdue, thrown } from './verdict.ts';

const microseconds = createMicrosecondClock();

export interface AttemptPorts {
  readonly machine: RunnerMachine;
  readonly table: Promise<ExecutorTable>;
  readonly entered: () => void;
  readonly frames: (bytes: Uint8Array<ArrayBuffer>) => void;
  readonly ask: (question: Question) => Promise<string>;
  readonly needsTime: (ms: number) => void;
  /** Called once, after the last frames. */
  readonly ended: (ended: EndedAttempt) => void;
}

export const loadExecutor = async (table: ExecutorTable, node: string): Promise<ExecutorModule> => {
  const load = Object.hasOwn(table, node) ? table[node] : undefined;
  if (load !== undefined) return load();
  throw new OutriderError({
    code: 'NodeUnknown',
    message: `This runner has no executor for the node type ${node}; it knows ${Object.keys(table).sort().join(', ')}.`,
    action: 'Correct the step, or update the runner.',
  });
};

/** One attempt inside the thread: from the request to the verdict. */
export class AttemptExecution {
  readonly #request: ExecutionRequest;
  readonly #ports: AttemptPorts;
  readonly #secrets: SecretSet;
  readonly #pipe: OutputPipe;
  readonly #controller = new AbortController();
  readonly #settled = Promise.withResolvers<void>();
  #startedAt = Date.now();
  #stopped: StopReason | undefined;
  #entered = false;
  #ended = false;

  constructor(request: ExecutionRequest, ports: AttemptPorts) {
    this.#request = request;
    this.#ports = ports;
    this.#secrets = secretsOf(request.credential);
    const { resume } = request;
    this.#pipe = new OutputPipe({
      secrets: this.#secrets,
      post: ports.frames,
      now: microseconds,
      ...(resume === undefined ? {} : { resume }),
    });
  }

  async run(): Promise<void> {
    let timeout: NodeJS.Timeout | undefined;
    try {
      const module = await loadExecutor(await this.#ports.table, this.#request.spec.node);
      if (this.#ended) return;
      const { resume } = this.#request;
      // What runs already is ended by its executor.
      if (this.#stopped !== undefined && resume === undefined) return this.#end(neverEntered(this.#stopped));
      this.#startedAt = resume === undefined ? Date.now() : Date.parse(resume.startedAt);
      this.#entered = true;
      this.#ports.entered();
      timeout = setTimeout(() => this.stop('TimedOut'), timeoutOf(this.#request));
      this.#end(await this.#enter(module));
    } catch (error) {
      const result = thrown(error, this.#stopped);
      this.#end(result, result.message);
    } finally {
      clearTimeout(timeout);
    }
  }

  /** The first reason counts. */
  stop(reason: StopReason): void {
    if (this.#stopped !== undefined || this.#ended) return;
    this.#stopped = reason;
    this.#controller.abort(reason);
  }

  /** Reports without the executor; whatever it does later goes nowhere. */
  abandon(reason: StopReason): void {
    this.stop(reason);
    const stopped = this.#stopped ?? reason;
    this.#end(this.#entered ? overdue(stopped) : neverEntered(stopped));
  }

  settle(): void {
    this.#settled.resolve();
  }

  /** In place of `run`, for an attempt whose result is journalled already. */
  async tidy(handle: Handle): Promise<void> {
    const module = await loadExecutor(await this.#ports.table, this.#request.spec.node);
    await module.tidy?.(this.#context(), handle);
  }

  credit(bytes: number): void {
    this.#pipe.credit(bytes);
  }

  #enter({ execute, reattach }: ExecutorModule): Promise<ExecutorResult> {
    const { resume } = this.#request;
    if (resume === undefined) return execute(this.#context());
    if (reattach === undefined)
      throw new Error(`${this.#request.spec.node} cannot go on with what it started`);
    const { stdout, stderr } = resume.progress;
    const from = { stdout: stdout.raw, stderr: stderr.raw };
    return reattach(this.#context(), { handle: resume.handle, from });
  }

  async #checkpoint(): Promise<OutputOffsets> {
    const progress = this.#pipe.checkpoint();
    await this.#ports.ask({ type: 'checkpoint', progress });
    return { stdout: progress.stdout.raw, stderr: progress.stderr.raw };
  }

  /** With a last note, the log alone says why there is no output of the target. */
  #end(result: ExecutorResult, lastNote?: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#pipe.end(lastNote);
    this.#ports.ended({
      ...finalVerdict(result, this.#secrets),
      startedAt: instantOf(this.#startedAt),
      finishedAt: instantOf(Date.now()),
    });
  }

  #context(): TaskContext {
    const { task, epoch, spec, credential } = this.#request;
    return {
      attempt: { task, epoch },
      spec,
      connection: spec.connection ?? {},
      credential,
      machine: this.#ports.machine,
      signal: this.#controller.signal,
      stdout: this.#pipe.stdout,
      stderr: this.#pipe.stderr,
      note: (line) => this.#pipe.note(line),
      handle: async (handle) => {
        await this.#ports.ask({ type: 'handle', handle });
      },
      learnHostKey: (shown) => this.#ports.ask({ type: 'hostKey', shown }),
      checkpoint: () => this.#checkpoint(),
      settled: this.#settled.promise,
      needsTime: (ms) => this.#ports.needsTime(ms),
    };
  }
}
