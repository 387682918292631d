import { createServer } from 'node:https';
import { join } from 'node:path';
import { createAuthority } from '@outrider/operator/identity/ca';
import { createFolderKeyStore } from '@outrider/operator/identity/folder-key-store';
import { loadKeyMaterial } from '@outrider/operator/identity/key-material';
import { serveParent } from '../harness/rpc.ts';
import { keysFolder, type Server } from '../harness/site.ts';
import { createMeter } from '../harness/usage.ts';

const pollMs = 20_000;
const keepaliveMs = 5000;
const meter = createMeter();

/** The floor: Node's own HTTPS server that takes the same polls, parses them and holds them as long; nothing else. */
const open = async ({ dataDir }: { dataDir: string }): Promise<Server> => {
  const keys = await loadKeyMaterial(createFolderKeyStore(keysFolder(join(dataDir))), Date.now());
  const authority = await createAuthority({
    ca: keys.ca,
    names: ['localhost', '127.0.0.1'],
    now: Date.now,
    onError: (error) => console.error(error),
  });
  const options = { ...authority.tls, minVersion: 'TLSv1.3', keepAliveTimeout: 75_000 } as const;
  const server = createServer(options, (request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => {
      body += chunk;
    });
    request.on('end', () => {
      JSON.parse(body);
      const keepalive = setInterval(() => {
        if (!response.headersSent) response.writeHead(200, { 'content-type': 'application/json' });
        response.write(' ');
      }, keepaliveMs);
      const end = setTimeout(
        () => {
          clearInterval(keepalive);
          response.end('{"offers":[],"cancels":[]}');
        },
        pollMs * (0.9 + 0.2 * Math.random()),
      );
      response.once('close', () => {
        clearInterval(keepalive);
        clearTimeout(end);
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { port, caPem: authority.caPem };
};

const handlers = { open, usage: () => meter.usage(), resetLoopDelay: () => meter.reset() };
export type BareHttpsHandlers = typeof handlers;
serveParent(handlers);
