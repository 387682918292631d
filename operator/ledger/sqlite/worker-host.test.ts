import { MessageChannel } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { closeCall, serve } from './worker-host.ts';
import type { Call, WorkerMessage } from './worker-messages.ts';

const channel = new MessageChannel();
afterEach(() => channel.port1.close());

test('what only reads goes before what waits to be written, turn by turn; a commit takes 2 MiB and one call more', async () => {
  const groups: string[][] = [];
  const { port1, port2 } = channel;
  const ended = new Promise<void>((resolve) => {
    port1.on('message', (message: WorkerMessage) => {
      if (message.kind === 'answers' && message.answers.some(({ id }) => id === 9)) resolve();
    });
  });
  serve(port2, () => ({
    opened: undefined,
    isRead: ({ name }) => name === 'read',
    bytesOf: ({ args }) => Number(args[0]),
    handle: async (calls) => {
      groups.push(calls.map(({ id, name }) => `${name} ${id}`));
      // Comes while the first change is written.
      if (calls.some(({ id }) => id === 1)) port1.postMessage({ id: 5, name: 'read', args: [0] });
      return { answers: calls.map(({ id }) => ({ id, ok: true, value: undefined })) };
    },
    close: () => undefined,
  }));
  const mebibyte = 1_048_576;
  const calls: Call[] = [
    { id: 1, name: 'write', args: [2 * mebibyte] },
    { id: 2, name: 'write', args: [mebibyte] },
    { id: 3, name: 'write', args: [mebibyte] },
    { id: 4, name: 'write', args: [mebibyte] },
    { id: 6, name: 'read', args: [0] },
    { id: 9, name: closeCall, args: [0] },
  ];
  for (const call of calls) port1.postMessage(call);
  await ended;
  expect(groups).toEqual([['read 6'], ['write 1'], ['read 5'], ['write 2', 'write 3'], ['write 4']]);
});
