import type { Writable } from 'node:stream';
import type { Sink } from '../context.ts';
import { styleFor } from './style.ts';

/** Writes in order, each write after the one before is accepted. */
export const createSink = (
  stream: Writable & { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): Sink => {
  const isTTY = stream.isTTY === true;
  return {
    isTTY,
    style: styleFor(isTTY, env),
    write: (text) =>
      new Promise((resolve, reject) => {
        stream.write(text, (error) => (error ? reject(error) : resolve()));
      }),
  };
};
