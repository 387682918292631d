import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { percentile } from '../figures.ts';

const rounds = 300;

/** p50 and p99 in milliseconds of appending 4 KiB and fdatasync, in the folder of the ledger. */
export const measureFsync = (folder: string): { p50: number; p99: number } => {
  const file = join(folder, 'fsync.tmp');
  const descriptor = openSync(file, 'w');
  const block = Buffer.alloc(4096, 1);
  const times: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const begun = performance.now();
    writeSync(descriptor, block);
    fdatasyncSync(descriptor);
    times.push(performance.now() - begun);
  }
  closeSync(descriptor);
  rmSync(file);
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
};

const get = (url: string): Promise<void> =>
  new Promise((resolve, reject) => {
    // Only the round trip counts here; the certificate is checked everywhere else.
    const call = request(url, { rejectUnauthorized: false, agent: undefined }, (response) => {
      response.resume().once('end', resolve);
    });
    call.once('error', reject).end();
  });

/** p50 in milliseconds of a small GET to the operator over a kept TLS connection. */
export const measureRoundTrip = async (runnerApiUrl: string): Promise<number> => {
  const times: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const begun = performance.now();
    await get(`${runnerApiUrl}/runner/v1/ca`);
    times.push(performance.now() - begun);
  }
  return percentile(times, 0.5);
};
