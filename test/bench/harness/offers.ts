import { waitFor } from '../../servers/wait.ts';
import type { OperatorHandlers } from '../programs/operator.ts';
import type { Program } from './program.ts';
import type { Fleet } from './site-setup.ts';

type Operator = Program<OperatorHandlers>;

/** Resolves when so many runners hold a poll. */
export const arePolling = async (operator: Operator, runners: number, timeoutMs: number): Promise<void> => {
  let seen = 0;
  await waitFor(
    `${runners} runners to hold a poll`,
    async () => {
      seen = (await operator.call('usage')).polls;
      return seen >= runners;
    },
    { timeoutMs, intervalMs: 250, detail: () => `${seen} do` },
  );
};

/** Resolves when so many tasks have ended since the operator's start. */
export const haveEnded = async (operator: Operator, tasks: number, timeoutMs: number): Promise<void> => {
  let seen = 0;
  await waitFor(
    `${tasks} tasks to end`,
    async () => {
      seen = await operator.call('ended');
      return seen >= tasks;
    },
    { timeoutMs, intervalMs: 20, detail: () => `${seen} have ended` },
  );
};

/** Milliseconds from the instant at which a task was made Ready to the first arrival of its offer at a runner. */
export const offerDelays = async (operator: Operator, fleet: Fleet): Promise<number[]> => {
  const ready = new Map(await operator.call('takeReady'));
  const arrived = (await fleet.all((each) => each.call('takeArrivals'))).flat();
  return arrived.flatMap(([task, at]) => {
    const since = ready.get(task);
    ready.delete(task);
    return since === undefined ? [] : [at - since];
  });
};

/** Steps that any simulated runner takes. */
export const steps = (count: number, place: object = { target: { host: '127.0.0.1', user: 'bench' } }) =>
  Array.from({ length: count }, (_, i) => ({
    name: `step-${i + 1}`,
    node: 'ssh-exec' as const,
    credential: 'secret:bench',
    script: 'exit 0\n',
    ...place,
  }));
