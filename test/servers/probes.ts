import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';

/** True if a TCP connection to host:port is accepted. */
export async function tcpAccepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const done = (accepted: boolean): void => {
      socket.destroy();
      resolve(accepted);
    };
    socket.setTimeout(2000, () => done(false));
    socket.once('connect', () => done(true));
    socket.once('error', () => done(false));
  });
}

export interface HttpProbe {
  /** PEM of the CA that the server must prove itself by. */
  readonly ca?: string;
  readonly token?: string;
}

/** Status of a GET request; rejects if there is no answer within 5 s. */
export async function httpStatus(url: string, probe: HttpProbe = {}): Promise<number> {
  const headers = probe.token === undefined ? {} : { authorization: `Bearer ${probe.token}` };
  const send = url.startsWith('https:') ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const call = send(url, { headers, ca: probe.ca, agent: false, timeout: 5000 }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode ?? 0));
    });
    call.once('timeout', () => call.destroy(new Error(`no answer from ${url} within 5 s`)));
    call.once('error', reject);
    call.end();
  });
}

/** The last `lines` (default 20) lines of a file, or a note that it cannot be read. */
export function tailOf(file: string, lines = 20): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } catch {
    return `(no log at ${file})`;
  }
}
