import { defineConfig } from 'vitest/config';

const shared = { conditions: ['development'] };

/** Three projects: `unit` beside the source, `integration` against one API server, `e2e` in series. */
export default defineConfig({
  test: {
    projects: [
      {
        resolve: shared,
        ssr: { resolve: shared },
        test: {
          name: 'unit',
          include: ['{crds,runner,operator,cli}/**/*.test.ts', 'test/servers/**/*.test.ts'],
          exclude: ['**/node_modules/**'],
          testTimeout: 20_000,
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
        },
      },
    ],
  },
});
