import type { Problem, SessionRequest } from '@outrider/protocol';

/** What a runner of protocol version 1 sent to open a session. */
export const sessionRequest: SessionRequest = {
  protocolVersion: 1,
  version: '0.1.0',
  startedAt: '2026-11-22T12:00:00.000Z',
  capacity: 8,
  nodes: ['kubectl-exec', 'local-exec', 'ssh-exec'],
  inventory: [],
};

/** What an operator of protocol version 1 answered to a runner of version 2. */
export const refusal: Problem = {
  code: 'ProtocolVersionUnsupported',
  message: 'The runner speaks protocol version 2, this operator version 1.',
  action: 'Upgrade the operator.',
};
