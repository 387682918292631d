import type { Model } from './operator.ts';

const queries = [
  `SELECT id, state, epoch, cancel_requested, runner, session, queue_deadline, offer_expires_at, lease_expires_at,
    unknown_since, not_before, deadline, retries_left, crashes, crashed_session, started_at IS NOT NULL AS started,
    unconfirmed, result
   FROM tasks ORDER BY id`,
  'SELECT task, epoch, runner, session, claimed_at IS NOT NULL AS claimed, started_at IS NOT NULL AS started, ending, result_digest FROM attempts ORDER BY task, epoch',
  'SELECT state, cancel_requested, paused FROM runs',
  'SELECT key, task, epoch, unconfirmed FROM locks ORDER BY key, task, epoch',
];

const times = new Set([
  'queue_deadline',
  'offer_expires_at',
  'lease_expires_at',
  'unknown_since',
  'not_before',
  'deadline',
]);

/**
 * Equal for two worlds in which the same can happen from now on: times count from now, revisions only where a plan that is on
 * its way names one, and texts not at all.
 */
export const stateKey = ({ memory, world }: Model): string => {
  const rows = queries.map((query) =>
    memory
      .rows(query)
      .map((row) =>
        Object.entries(row).map(([name, value]) =>
          times.has(name) && typeof value === 'number' ? value - world.now : value,
        ),
      ),
  );
  const revision = memory.rows('SELECT revision FROM runs')[0]?.['revision'];
  const net = world.net.map((message) =>
    message.kind === 'Plan'
      ? ['Plan', message.plan.revision === revision, message.plan.transitions]
      : message,
  );
  const runners = world.runners.map((runner) => ({ ...runner, renewedAt: runner.renewedAt - world.now }));
  const { executions, results, claims, budget } = world;
  return JSON.stringify([rows, net, runners, executions, Object.keys(results).sort(), claims, budget]);
};
