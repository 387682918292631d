import { afterAll, beforeAll } from 'vitest';
import { startPostgres, type Postgres } from '../servers/postgres.ts';
import { startReplicas, type Replicas } from '../servers/replicas.ts';
import { Stack } from './stack.ts';

/** A leader that dies is followed within seconds; everything else in proportion to the defaults. */
export const replicaFlags = [
  ['leader-lease', '10s'],
  ['settle-time', '2s'],
  ['poll-time', '5s'],
  ['offer-time', '3s'],
].flatMap(([flag, value]) => [`--${flag}`, `${value}`]);

/** Shipped operators that share one real PostgreSQL, behind a balancer for runners and one for people. */
export class ReplicaStack extends Stack {
  #parts: { readonly postgres: Postgres; readonly replicas: Replicas } | undefined;

  get postgres(): Postgres {
    return this.#require().postgres;
  }

  get replicas(): Replicas {
    return this.#require().replicas;
  }

  async startReplicas(count: number, flags: readonly string[] = replicaFlags): Promise<void> {
    const { footprint, controlPlane } = this;
    const postgres = await startPostgres({ footprint });
    const ledgerUrl = await postgres.createDatabase();
    const replicas = await startReplicas({ footprint, controlPlane, ledgerUrl, flags }, count);
    this.#parts = { postgres, replicas };
    await this.use(replicas.operator);
  }

  override async stop(): Promise<void> {
    const { replicas } = this.#require();
    await Promise.all([replicas.runnerApi.close(), replicas.portal.close()]);
    await super.stop();
  }

  #require(): { readonly postgres: Postgres; readonly replicas: Replicas } {
    if (!this.#parts) throw new Error('the replicas have not been started');
    return this.#parts;
  }
}

/** Starts replicas for the calling file and ends everything after it. */
export const useReplicaStack = (count: number): ReplicaStack => {
  const stack = new ReplicaStack();
  beforeAll(() => stack.startReplicas(count));
  afterAll(() => stack.stop());
  return stack;
};
