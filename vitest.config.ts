import { defineConfig } from 'vitest/config';

const shared = { conditions: ['development'] };

/** How long `expect.poll` looks: long for a wait, short for a bound. */
const expectation = { poll: { timeout: 15_000 } };

/** Beside the source, too, but each test starts threads, processes or servers: seconds a file, so not among the fast ones. */
const component = [
  'cli/portal/follow.test.ts',
  'operator/dispatch/{attempts,dispatch,fairness,restored,sessions,sweeper}.test.ts',
  'operator/identity/{credentials,registration,runners}.test.ts',
  'operator/kube/process-shell.test.ts',
  'operator/ledger/invariants/*.test.ts',
  'operator/ledger/commands/recovery.test.ts',
  'operator/ledger/sqlite/open.test.ts',
  'runner/agent/drain.test.ts',
  'operator/logs/log-store.test.ts',
  'operator/recovery/keeper.test.ts',
  'operator/model/*.test.ts',
  'operator/runner-api/server.test.ts',
  'operator/{pruner,store-watch}.test.ts',
  'operator/stores/probe.test.ts',
  'runner/execution/{host,host-stop}.test.ts',
  'runner/journal/journal-crash.test.ts',
  'runner/main.test.ts',
  'runner/nodes/local-exec/execute.test.ts',
  'runner/nodes/ssh-exec/bootstrap.test.ts',
  'runner/transports/ssh-pool.test.ts',
];

/**
 * Five projects: `unit` (under a minute) and `component` beside the source, `integration` against one API server, `e2e` and
 * `faults` in series.
 */
export default defineConfig({
  test: {
    projects: [
      {
        resolve: shared,
        ssr: { resolve: shared },
        test: {
          name: 'unit',
          include: ['{crds,runner,operator,cli}/**/*.test.ts', 'test/servers/**/*.test.ts'],
          exclude: ['**/node_modules/**', ...component],
          testTimeout: 20_000,
          expect: expectation,
        },
      },
      {
        resolve: shared,
        ssr: { resolve: shared },
        test: {
          name: 'component',
          include: component,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          expect: expectation,
        },
      },
      {
        resolve: shared,
        ssr: { resolve: shared },
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          globalSetup: ['test/integration/setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          expect: expectation,
        },
      },
      {
        resolve: shared,
        ssr: { resolve: shared },
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: ['test/e2e/setup.ts'],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 300_000,
          expect: expectation,
        },
      },
      {
        resolve: shared,
        ssr: { resolve: shared },
        test: {
          name: 'faults',
          include: ['test/faults/**/*.test.ts'],
          globalSetup: ['test/e2e/setup.ts'],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 300_000,
          expect: expectation,
        },
      },
    ],
  },
});
