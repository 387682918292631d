import { startBalancer, type Balancer } from './balancer.ts';
import {
  installChart,
  startReplica,
  systemNamespace,
  type Operator,
  type OperatorOptions,
} from './outrider.ts';
import { waitFor } from './wait.ts';

interface Member {
  operator: Operator;
  readonly runnerApi: { readonly host: string; readonly port: number };
  readonly portal: { readonly host: string; readonly port: number };
}

/** Several shipped operators on one PostgreSQL, behind one address for runners and one for people. */
export interface Replicas {
  readonly count: number;
  /** Where new connections of runners go. */
  readonly runnerApi: Balancer;
  readonly portal: Balancer;
  /** As its clients see it: the URLs are the front's. */
  readonly operator: Operator;
  member(index: number): Operator;
  /** Index of the replica that holds the Lease; undefined while none that runs does. */
  leader(): Promise<number | undefined>;
  waitForLeader(timeoutMs?: number): Promise<number>;
  /** SIGKILL. Resolves when it is gone. */
  kill(index: number): Promise<void>;
  /** After `kill`; ready when it serves. */
  restart(index: number): Promise<void>;
  /**
   * Starts those again that have ended by themselves, as Kubernetes does, also when they end before they serve; resolves with
   * how many there were.
   */
  revive(): Promise<number>;
  /** New connections of runners and people go to these replicas only; default: to all. */
  route(to: { readonly runners?: readonly number[]; readonly people?: readonly number[] }): void;
}

const names = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `operator-${index}`);

/** @param options.ledgerUrl Of an empty database, or of one that such replicas had. */
export const startReplicas = async (
  options: OperatorOptions & { readonly ledgerUrl: string },
  count: number,
): Promise<Replicas> => {
  const { footprint, controlPlane, address = '127.0.0.1' } = options;
  const [runnerApi, portal] = [
    await startBalancer({ host: address }),
    await startBalancer({ host: address }),
  ];
  const front = {
    portalUrl: `https://${address}:${portal.port}`,
    runnerApiUrl: `https://${address}:${runnerApi.port}`,
  };
  await installChart(footprint, controlPlane, {
    'portal.url': front.portalUrl,
    'runnerApi.url': front.runnerApiUrl,
  });
  const members: Member[] = await Promise.all(
    names(count).map(async (name) => {
      const { operator, ports } = await startReplica(options, { name, front });
      return {
        operator,
        runnerApi: { host: address, port: ports.runnerApi },
        portal: { host: address, port: ports.portal },
      };
    }),
  );
  const member = (index: number): Member => {
    const found = members[index];
    if (found === undefined) throw new Error(`there is no replica ${index}`);
    return found;
  };
  const route: Replicas['route'] = ({ runners, people }) => {
    const all = [...members.keys()];
    runnerApi.use((runners ?? all).map((index) => member(index).runnerApi));
    portal.use((people ?? all).map((index) => member(index).portal));
  };
  route({});

  const leader = async (): Promise<number | undefined> => {
    const lease = ['-n', systemNamespace, 'get', 'lease', 'outrider-operator', '-o'];
    const { stdout } = await controlPlane.kubectl([...lease, 'jsonpath={.spec.holderIdentity}']);
    const index = names(count).indexOf(stdout.trim().replace(/\.\d+$/, ''));
    return index >= 0 && member(index).operator.process.running() ? index : undefined;
  };

  const restart = async (index: number): Promise<void> => {
    const one = member(index);
    one.operator = await one.operator.restart();
  };

  const [first] = members;
  if (first === undefined) throw new Error('at least one replica is needed');
  return {
    count,
    runnerApi,
    portal,
    operator: first.operator,
    member: (index) => member(index).operator,
    leader,
    waitForLeader: async (timeoutMs = 30_000) => {
      let found: number | undefined;
      await waitFor('a replica to lead', async () => (found = await leader()) !== undefined, { timeoutMs });
      return found ?? 0;
    },
    kill: async (index) => {
      const { process } = member(index).operator;
      process.signal('SIGKILL');
      await waitFor(`replica ${index} to be gone`, () => !process.running());
      await process.stop();
    },
    restart,
    revive: async () => {
      const dead = [...members.keys()].filter((index) => !member(index).operator.process.running());
      await Promise.allSettled(dead.map(restart));
      return dead.length;
    },
    route,
  };
};
