import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

/** Answers beyond this are no credential. */
const maxAnswerBytes = 2_097_152;

/** What node-vault hands to its transport. */
interface VaultCall {
  readonly method: string;
  readonly uri: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
}

interface VaultAnswer {
  readonly statusCode: number;
  readonly body: unknown;
  readonly request: { readonly path: string };
}

export interface VaultTransportOptions {
  /** PEM; the system's CAs when absent. */
  readonly ca?: string;
  /** For one call, from connecting to the last byte. */
  readonly timeoutMs: number;
}

const readBody = async (answer: IncomingMessage): Promise<unknown> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > maxAnswerBytes) throw new Error(`it answered more than ${maxAnswerBytes} bytes`);
    chunks.push(bytes);
  }
  const text = Buffer.concat(chunks).toString();
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
};

/**
 * The `request-promise` option of node-vault. Its own transport has no deadline, turns certificate checks off when
 * VAULT_SKIP_VERIFY is set, and follows redirects with the Vault token; this one does none of that. It goes through
 * HTTPS_PROXY and minds NO_PROXY.
 */
export const createVaultTransport = (options: VaultTransportOptions) => {
  const proxy = { proxyEnv: process.env };
  const tls = options.ca === undefined ? {} : { ca: options.ca };

  const send = async (call: VaultCall): Promise<VaultAnswer> => {
    const { pathname, protocol } = new URL(call.uri);
    const body = call.json === undefined ? undefined : JSON.stringify(call.json);
    const signal = AbortSignal.timeout(options.timeoutMs);
    const headers = { 'content-type': 'application/json', ...call.headers };
    const agent = protocol === 'https:' ? new HttpsAgent({ ...tls, ...proxy }) : new HttpAgent(proxy);
    const start = protocol === 'https:' ? httpsRequest : httpRequest;
    try {
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        const request = start(call.uri, { method: call.method, headers, agent, signal }, resolve);
        request.on('error', reject);
        request.end(body);
      });
      return {
        statusCode: answer.statusCode ?? 0,
        body: await readBody(answer),
        request: { path: pathname },
      };
    } catch (error) {
      if (signal.aborted) throw new Error(`no answer within ${options.timeoutMs / 1000} s`, { cause: error });
      throw error;
    } finally {
      agent.destroy();
    }
  };

  return { defaults: () => send };
};
