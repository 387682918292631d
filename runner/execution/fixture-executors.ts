import { setTimeout as delay } from 'node:timers/promises';
import { threadId } from 'node:worker_threads';
import { OutriderError } from '@outrider/protocol';
import type { TaskContext } from '@outrider/nodes/contract';
import type { ExecutorTable } from './executor-table.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const secret = (context: TaskContext): string => context.credential?.password ?? '';
const never = (): Promise<never> => new Promise(() => undefined);

/** Resolves when the signal aborts. */
const stopped = ({ signal }: TaskContext): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

/** Executors that behave in one particular way each, for tests of the host. */
export const executors: ExecutorTable = {
  echo: async () => ({
    execute: async (context) => {
      await context.note(`hello ${context.attempt.task}/${context.attempt.epoch}`);
      await context.stdout.write(bytes(context.spec.input.script ?? ''));
      await context.stderr.write(bytes('to stderr\n'));
      return { outcome: 'Succeeded', exitCode: 0 };
    },
    reap: async (handle) => handle.pid === 7,
  }),
  /** Writes its secret in pieces, with pauses longer than any flush, to both streams, a note and a message. */
  leak: async () => ({
    execute: async (context) => {
      await context.note(`password is ${secret(context)}`);
      for (const letter of `out ${secret(context)}\n`) {
        await context.stdout.write(bytes(letter));
        if (letter === secret(context)[4]) await delay(50);
      }
      await context.stderr.write(
        bytes(`err ${Buffer.from(secret(context)).toString('base64')} pw ${secret(context).slice(0, 5)}`),
      );
      return { outcome: 'Failed', exitCode: 3, message: `${'x'.repeat(1020)}${secret(context)}` };
    },
  }),
  /** Loads only when the next timers have run. */
  late: () => delay(20).then(() => executors.echo?.() ?? never()),
  outputs: async () => ({
    execute: async (context) => ({
      outcome: 'Succeeded',
      outputs: { list: [1, { value: `a ${context.spec.input.script === 'bad' ? secret(context) : 'b'}` }] },
    }),
  }),
  refuse: async () => ({
    execute: async (context) => {
      throw new OutriderError({
        code: 'AuthenticationFailed',
        message: `The server refused ${secret(context)}.`,
        action: 'Correct the credential.',
      });
    },
  }),
  /** Ends when it is told to, and says so. */
  obedient: async () => ({
    execute: async (context) => {
      await context.stdout.write(bytes('begun\n'));
      await stopped(context);
      const timedOut = context.signal.reason === 'TimedOut';
      return {
        outcome: timedOut ? 'TimedOut' : 'Cancelled',
        message: `told ${String(context.signal.reason)}`,
      };
    },
  }),
  /** Throws when it is told to end. */
  confused: async () => ({
    execute: async (context) => {
      await context.stdout.write(bytes('begun\n'));
      await stopped(context);
      throw new Error('channel closed');
    },
  }),
  deaf: async () => ({
    execute: async (context) => {
      await context.stdout.write(bytes('begun, no line end'));
      return never();
    },
  }),
  /** Blocks the whole thread. */
  loop: async () => ({
    execute: async (context) => {
      await context.stdout.write(bytes('begun\n'));
      await delay(1);
      for (;;);
    },
  }),
  crash: async () => ({
    execute: async (context) => {
      await context.stdout.write(bytes('begun\n'));
      setImmediate(() => {
        throw new Error(`lost ${secret(context)}`);
      });
      return never();
    },
  }),
  handle: async () => ({
    execute: async (context) => {
      await context.handle({ pid: 4711 });
      await context.stdout.write(bytes('handle journalled\n'));
      return { outcome: 'Succeeded', exitCode: 0 };
    },
  }),
  /** Which thread it runs in. */
  thread: async () => ({
    execute: async (context) => {
      await context.stdout.write(bytes(`${threadId}`));
      return { outcome: 'Succeeded', exitCode: 0 };
    },
  }),
  /** What an executor can see of the process. */
  surroundings: async () => ({
    execute: async (context) => {
      await context.stdout.write(
        bytes(JSON.stringify([process.env, process.argv.slice(2), process.execArgv])),
      );
      return { outcome: 'Succeeded', exitCode: 0 };
    },
  }),
  prompt: async () => ({
    execute: async (context) => {
      await context.stdout.write(bytes('Continue? '));
      await stopped(context);
      return { outcome: 'Succeeded', exitCode: 0 };
    },
  }),
  /** 20 MB in lines, as fast as it may. */
  flood: async () => ({
    execute: async (context) => {
      const line = `${'0123456789'.repeat(9)} line\n`;
      const chunk = bytes(line.repeat(341));
      for (let sent = 0; sent < 20_000_000; sent += chunk.length) await context.stdout.write(chunk);
      return { outcome: 'Succeeded', exitCode: 0 };
    },
  }),
};
