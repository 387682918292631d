import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import type { TaskRecord } from '../ledger/records.ts';
import type { SigningKey } from './key-material.ts';

const attemptTokenLifetimeMs = 5 * 60_000;

export interface AttemptTokenOptions {
  readonly key: SigningKey;
  /** `iss`: what bound_issuer of the store's jwt auth method names. */
  readonly issuer: string;
  readonly now: () => number;
}

/** Claims that a store's policy may bind to, besides the stable `sub` of the workflow. */
const attemptClaims = (task: TaskRecord, runner: string) => ({
  namespace: task.spec.namespace,
  workflow: task.spec.workflow,
  run: task.spec.run,
  step: task.spec.step,
  target: task.target,
  runner,
  task: task.id,
  epoch: task.epoch,
});

/** Same for every attempt at any run of the workflow. */
const attemptSubject = (task: TaskRecord): string => `outrider:${task.spec.namespace}:${task.spec.workflow}`;

/** A JWT (ES256, 5 minutes) for one attempt, for the jwt auth method of Vault or OpenBao. */
export const signAttemptToken = (
  options: AttemptTokenOptions,
  attempt: { task: TaskRecord; runner: string; audience: string },
): Promise<string> => {
  const issuedAt = Math.floor(options.now() / 1000);
  return new SignJWT(attemptClaims(attempt.task, attempt.runner))
    .setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid: options.key.kid })
    .setIssuer(options.issuer)
    .setSubject(attemptSubject(attempt.task))
    .setAudience(attempt.audience)
    .setJti(randomUUID())
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + attemptTokenLifetimeMs / 1000)
    .sign(options.key.privateKey);
};
