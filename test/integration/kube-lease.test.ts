import { describe, expect, test } from 'vitest';
import type { KubeObject } from '@outrider/operator/kube/contract';
import { runAsLeader, type LeaderOptions } from '@outrider/operator/kube/lease';
import { leases } from '@outrider/operator/kube/resources';
import { waitFor } from '../servers/wait.ts';
import { useNamespace } from './cluster.ts';
import { kubeClient, recordingLogger } from './kube-fixture.ts';

const cluster = useNamespace('lease');
const { namespace } = cluster;
const client = kubeClient(cluster.controlPlane);

describe('the lease', () => {
  const times = { durationMs: 6000, renewDeadlineMs: 4000, retryMs: 200 };
  const candidate = (identity: string, more: Partial<LeaderOptions> = {}) => {
    const stopped = new AbortController();
    const leading = Promise.withResolvers<AbortSignal>();
    const lost: string[] = [];
    const logger = recordingLogger();
    const ended = runAsLeader({
      client,
      namespace,
      name: 'leader',
      identity,
      signal: stopped.signal,
      logger,
      times,
      lead: (signal) =>
        new Promise((resolve) => {
          leading.resolve(signal);
          signal.addEventListener('abort', () => resolve(), { once: true });
        }),
      onLost: (why) => lost.push(why),
      ...more,
    });
    return { stopped, leading: leading.promise, lost, ended, logger };
  };
  const holder = async (): Promise<string | undefined> =>
    (
      await client.get<KubeObject & { spec: { holderIdentity?: string } }>(leases, {
        namespace,
        name: 'leader',
      })
    )?.spec.holderIdentity;

  test('goes to one candidate, to the next when it is released, and is lost once when taken away', async () => {
    const first = candidate('first');
    await first.leading;
    const second = candidate('second');
    expect(await holder()).toBe('first');
    first.stopped.abort();
    await first.ended;
    expect(first.lost).toEqual([]);

    const leading = await second.leading;
    expect(await holder()).toBe('second');
    await client.patch(
      leases,
      { namespace, name: 'leader' },
      { body: { spec: { holderIdentity: 'usurper' } } },
    );
    await waitFor('the loss', () => leading.aborted);
    await second.ended;
    expect(second.lost).toEqual([`the Lease ${namespace}/leader is held by usurper`]);
    expect(await holder()).toBe('usurper');
  });

  test('is taken over only after its holder has been silent for its whole duration', async () => {
    await client.patch(
      leases,
      { namespace, name: 'leader' },
      { body: { spec: { holderIdentity: 'dead', leaseDurationSeconds: 2 } } },
    );
    const begun = performance.now();
    const next = candidate('next');
    await next.leading;
    expect(performance.now() - begun).toBeGreaterThan(2000);
    next.stopped.abort();
    await next.ended;
    expect(await holder()).toBe('');
  });

  test('is lost at the renew deadline when the API server does not answer', async () => {
    let cut = false;
    const cuttable = {
      ...client,
      request: (call: Parameters<typeof client.request>[0]) =>
        cut ? new Promise<never>(() => {}) : client.request(call),
    };
    const leader = candidate('cut', { client: cuttable });
    const signal = await leader.leading;
    cut = true;
    await waitFor('the loss', () => signal.aborted, { timeoutMs: 20_000 });
    expect(leader.lost).toEqual([`the Lease ${namespace}/leader was not renewed for 4 s`]);
  });
});
