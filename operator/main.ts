import pino from 'pino';
import { help, readConfig, UsageError, type OperatorConfig } from './config.ts';
import { keepHeapSmall } from './heap.ts';
import { createKubeClient } from './kube/client.ts';
import { leaderTimesOf, runAsLeader, type LeaderOptions } from './kube/lease.ts';
import type { Logger } from './kube/logger.ts';
import { runProcess } from './kube/process-shell.ts';
import { startMetricsServer } from './metrics/server.ts';
import { leadInTurn } from './replicas/lead-in-turn.ts';
import { serve } from './serve.ts';
import { version } from './version.ts';

const leaseName = 'outrider-operator';

/** Exit codes: 0 after a clean stop, 1 after a failure or a lost Lease, 2 for flags that cannot be understood. */
const main = async (args: readonly string[]): Promise<number> => {
  if (args.includes('--help') || args.includes('-h')) {
    console.log(help());
    return 0;
  }
  if (args.includes('--version')) {
    console.log(version);
    return 0;
  }
  const config = readConfig(args, process.env);
  const logger = pino({ level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime });
  return run(config, logger);
};

const run = (config: OperatorConfig, logger: Logger): Promise<number> =>
  runProcess({
    logger,
    start: async ({ kubeConfig, signal }) => {
      const client = createKubeClient(kubeConfig, { version });
      const metrics = await startMetricsServer({ host: config.host, port: config.metricsPort });
      const giveUp = (why: string): void => {
        // Another operator is at work from now on: nothing that is under way here may still be finished.
        logger.error({ why }, 'lost the Lease');
        process.exit(1);
      };
      const leadership: Omit<LeaderOptions, 'lead'> = {
        client,
        namespace: config.namespace,
        name: leaseName,
        identity: config.identity,
        times: leaderTimesOf(config.times.leaderLeaseMs),
        signal,
        logger,
        onLost: giveUp,
      };
      const serving = {
        config,
        client,
        metrics,
        logger,
        onSuperseded: () => giveUp('another replica took the term'),
      };
      // SQLite has room for one operator: the next one waits for the Lease before it opens the file.
      const working =
        config.ledgerUrl === undefined
          ? runAsLeader({ ...leadership, lead: (lease) => serve({ ...serving, signal: lease }) })
          : serve({ ...serving, signal, whenLeading: (lead) => leadInTurn({ ...leadership, lead }) });
      working.catch((error: unknown) => {
        logger.error({ err: error }, 'could not serve');
        process.exit(1);
      });
      return {
        stop: async () => {
          await working;
          await metrics.close();
        },
      };
    },
  });

keepHeapSmall();
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\nSee outrider-operator --help.`);
  process.exitCode = 2;
}
