import type { ExecutionRequest } from './contract.ts';

/** What is left to an attempt that outlived its timeout while its runner was away: enough to learn that it has ended. */
const leastMs = 5_000;

/** Milliseconds until the attempt is over its time. A restart of the runner does not begin the count anew. */
export const timeoutOf = ({ spec, resume }: ExecutionRequest, now: number = Date.now()): number =>
  resume === undefined
    ? spec.timeoutMs
    : Math.min(spec.timeoutMs, Math.max(leastMs, Date.parse(resume.startedAt) + spec.timeoutMs - now));
