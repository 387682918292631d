import { ledgerConfigMap, recoveryConfirmedAnnotation } from '@outrider/portal';
import type { KubeClient, KubeObject } from '../kube/contract.ts';
import { isNotFound } from '../kube/kube-error.ts';
import { configMaps } from '../kube/resources.ts';

/** What the cluster remembers of the ledger: the ConfigMap outrider-ledger, outside of what a restore puts back. */
export interface Witness {
  readonly generation: string;
  readonly sequence: number;
  /** Generation whose recovery somebody has confirmed. */
  readonly confirmed: string | undefined;
}

export interface WitnessRecord {
  readonly generation: string;
  readonly sequence: number;
  readonly term: number;
  readonly state: 'Normal' | 'Recovery';
  /** Why it is in recovery. */
  readonly reason: string | undefined;
  /** Since when, in milliseconds since the Unix epoch. */
  readonly since: number | undefined;
}

export interface WitnessStore {
  /** Undefined before the first write: this is the first start. */
  read(): Promise<Witness | undefined>;
  /** Resolves with the ConfigMap, as what Events are about. */
  write(record: WitnessRecord): Promise<KubeObject>;
}

interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

/** A merge patch: null removes the key. */
const dataOf = (record: WitnessRecord): Readonly<Record<string, string | null>> => ({
  generation: record.generation,
  sequence: String(record.sequence),
  term: String(record.term),
  state: record.state,
  reason: record.reason ?? null,
  since: record.since === undefined ? null : new Date(record.since).toISOString(),
});

const withoutNulls = (data: ReturnType<typeof dataOf>): Record<string, string> =>
  Object.fromEntries(Object.entries(data).flatMap(([key, value]) => (value === null ? [] : [[key, value]])));

export const createWitnessStore = (
  client: Pick<KubeClient, 'get' | 'patch' | 'create'>,
  namespace: string,
): WitnessStore => {
  const ref = { namespace, name: ledgerConfigMap };
  return {
    read: async () => {
      const found = await client.get<ConfigMap>(configMaps, ref);
      const generation = found?.data?.['generation'];
      if (found === undefined || generation === undefined) return undefined;
      const sequence = Number(found.data?.['sequence']);
      return {
        generation,
        sequence: Number.isSafeInteger(sequence) ? sequence : 0,
        confirmed: found.metadata.annotations?.[recoveryConfirmedAnnotation],
      };
    },
    write: async (record) => {
      const data = dataOf(record);
      try {
        return await client.patch<ConfigMap>(configMaps, ref, { body: { data } });
      } catch (error) {
        if (!isNotFound(error)) throw error;
        const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: ref, data: withoutNulls(data) };
        return client.create<ConfigMap>(configMaps, namespace, body);
      }
    },
  };
};
