import { OutriderError, type HostKeyRequest, type HostKeyResponse } from '@outrider/protocol';
import type { Ledger } from '../ledger/ledger.ts';
import type { TaskRecord } from '../ledger/records.ts';
import type { AuthenticatedRunner } from './contract.ts';

const defaultPort = 22;

const forbidden = (request: HostKeyRequest): OutriderError =>
  new OutriderError({
    code: 'Forbidden',
    message: `Task ${request.task} does not connect to ${request.host}:${request.port} with hostKeyPolicy AcceptNew, so no key of that host is learned from it.`,
    action: 'Put the host key into the Target, or set its hostKeyPolicy to AcceptNew.',
  });

/** A runner speaks for the host that its attempt connects to, and for no other: a key that is learned is trusted by all. */
const connectsTo = ({ spec }: TaskRecord, { host, port }: HostKeyRequest): boolean => {
  const { connection } = spec;
  if (connection?.hostKeyPolicy !== 'AcceptNew') return false;
  return connection.host === host && (connection.port ?? defaultPort) === port;
};

/**
 * The key of a host as all runners of a namespace are to see it: the first one that is told, or the one on record.
 * @throws OutriderError Forbidden when the attempt does not connect there
 */
export const learnHostKey = async (
  ledger: Pick<Ledger, 'learnHostKey'>,
  runner: AuthenticatedRunner,
  told: { readonly task: TaskRecord; readonly request: HostKeyRequest; readonly now: number },
): Promise<HostKeyResponse> => {
  const { task, request, now } = told;
  if (!connectsTo(task, request)) throw forbidden(request);
  const { host, port, key } = request;
  const { namespace } = task.spec;
  return ledger.learnHostKey({ namespace, host, port, key, runnerName: runner.name, now });
};
