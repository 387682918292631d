import type { Runner } from '@outrider/kinds';
import type { RunnerDirectory } from '../dispatch/contract.ts';
import type { Cache, EventRecorder, StatusWriter } from '../kube/contract.ts';
import { keyOf, startController, type Controller } from '../kube/controller.ts';
import type { Logger } from '../kube/logger.ts';
import { runners as runnerType } from '../kube/resources.ts';
import { queueKey } from '../kube/work-queue.ts';
import { decideRunner } from './decide.ts';
import { createRunnerIdentities } from './identities.ts';
import type { SilenceTimes } from './replicas.ts';
import { revokeRunner, type RevokeDeps } from './revoke.ts';

export interface RunnerReconcilerDeps extends RevokeDeps {
  readonly runners: Cache<Runner>;
  readonly directory: RunnerDirectory;
  readonly status: StatusWriter;
  readonly events: EventRecorder;
  readonly logger: Logger;
  readonly times: SilenceTimes;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/**
 * Owns Runner.status and ends what a revoked Runner may do. Looks again when the resource or its live sessions change, and
 * when silence alone changes what is to be said. Its start is the operator's for "no Offline before offlineMs".
 */
export const startRunnerReconciler = (deps: RunnerReconcilerDeps): Controller => {
  const { runners, directory, status, events, logger, times, now } = deps;
  const identities = createRunnerIdentities(deps.ledger, now);
  const operatorStartedAt = now();
  /** Phase last announced by uid: the cache may still show the one before it. */
  const announced = new Map<string, string | undefined>();

  return startController({
    name: 'runners',
    logger,
    cache: runners,
    reconcile: async (runner, queue) => {
      const { namespace, name, uid } = runner.metadata;
      const live = directory.get(namespace, name);
      if (runner.spec.revoked === true) {
        const keys = await revokeRunner(deps, runner, { live, now: now() });
        if (keys.length > 0) logger.info({ namespace, name, keys }, 'revoked a runner');
      }
      const known = await identities.of(namespace, name);
      const registered = known.filter(({ revokedAt }) => revokedAt === null).length;
      const decision = decideRunner({ runner, live, registered, now: now(), operatorStartedAt, times });
      if (decision.status !== undefined)
        status.want(runnerType, runner, decision.status, { urgent: decision.urgent });
      const phase = decision.status?.phase;
      if (decision.event !== undefined && announced.get(uid) !== phase) events.record(runner, decision.event);
      if (phase !== undefined) announced.set(uid, phase);
      queue.addAfter(keyOf(runner), decision.recheckMs);
    },
    watch: (queue) => [
      directory.onChange((namespace, name) => queue.add(queueKey({ namespace, name }))),
      runners.onChange((_, runner, before) => {
        if (before !== undefined && before.metadata.uid !== runner?.metadata.uid)
          announced.delete(before.metadata.uid);
      }),
    ],
  });
};
