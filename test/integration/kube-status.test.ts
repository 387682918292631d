import { describe, expect, test } from 'vitest';
import { runners } from '@outrider/operator/kube/resources';
import { createStatusWriter } from '@outrider/operator/kube/status-writer';
import type { Runner } from '@outrider/kinds';
import { useNamespace } from './cluster.ts';
import { kubeClient, recordingLogger } from './kube-fixture.ts';

const cluster = useNamespace('status');
const { namespace } = cluster;
const client = kubeClient(cluster.controlPlane);

const runner = (name: string): Promise<Runner> =>
  client.create<Runner>(runners, namespace, {
    apiVersion: 'outrider.dev/v1alpha1',
    kind: 'Runner',
    metadata: { name },
    spec: {},
  });

describe('the status writer', () => {
  const version = async (name: string): Promise<Runner | undefined> =>
    client.get<Runner>(runners, { namespace, name });

  test('writes 20 wishes within a moment once, the last one, and nothing when it is there already', async () => {
    const object = await runner('coalesced');
    const { client: noted, writer } = counted();
    for (let load = 1; load <= 20; load++) writer.want(runners, object, { load, capacity: 30 });
    await writer.flush();
    const written = await version('coalesced');
    expect(written?.status).toEqual({ load: 20, capacity: 30 });
    expect(noted.writes).toHaveLength(1);
    writer.want(runners, object, { capacity: 30, load: 20 });
    if (written !== undefined) writer.want(runners, written, { load: 20, capacity: 30 });
    await writer.flush();
    expect(noted.writes).toHaveLength(1);
    writer.want(runners, object, { capacity: 30 });
    await writer.flush();
    expect((await version('coalesced'))?.status).toEqual({ capacity: 30 });
    await writer.stop();
  });

  test('writes one object at most once a second, and a change of phase after a tenth of that', async () => {
    const object = await runner('urgent');
    const { client: noted, writer } = counted();
    const gap = (index: number): number => (noted.writes[index] ?? 0) - (noted.writes[index - 1] ?? 0);
    writer.want(runners, object, { phase: 'Online' }, { urgent: true });
    await writer.flush();
    writer.want(runners, object, { phase: 'Degraded' }, { urgent: true });
    await writer.flush();
    expect(gap(1)).toBeGreaterThanOrEqual(90);
    writer.want(runners, object, { phase: 'Degraded', load: 1 });
    await writer.flush();
    expect(gap(2)).toBeGreaterThanOrEqual(900);
    expect((await version('urgent'))?.status).toEqual({ phase: 'Degraded', load: 1 });
    await writer.stop();
  });

  test('writes at most 20 statuses a second over all objects, urgent ones first', async () => {
    const objects = await Promise.all(Array.from({ length: 45 }, (_, index) => runner(`paced-${index}`)));
    const { client: noted, writer } = counted();
    for (const object of objects.slice(0, 40)) writer.want(runners, object, { load: 1 });
    for (const object of objects.slice(40)) writer.want(runners, object, { load: 2 }, { urgent: true });
    await writer.flush();
    expect(noted.writes).toHaveLength(45);
    expect(new Set(noted.names.slice(0, 5))).toEqual(
      new Set(objects.slice(40).map((object) => object.metadata.name)),
    );
    for (const [index, at] of noted.writes.slice(20).entries())
      expect(at - (noted.writes[index] ?? 0)).toBeGreaterThanOrEqual(900);
    await writer.stop();
  });

  test('drops the status of an object that is gone or was replaced, and says what the API server refuses', async () => {
    const gone = await runner('gone');
    await client.delete(runners, { namespace, name: 'gone' });
    const replaced = await runner('replaced');
    await client.delete(runners, { namespace, name: 'replaced' });
    await runner('replaced');
    const refused = await runner('refused');
    const { writer, logger } = counted();
    writer.want(runners, gone, { load: 1 });
    writer.want(runners, replaced, { load: 1 });
    writer.want(runners, refused, { load: -1 });
    await writer.flush();
    expect((await version('replaced'))?.status).toBeUndefined();
    expect(logger.lines.filter((line) => line.level !== 'debug')).toMatchObject([
      {
        level: 'error',
        message: 'the API server refused a status',
        fields: { kind: 'Runner', name: 'refused' },
      },
    ]);
    await writer.stop();
  });

  test('writes over a change that came in between, and keeps it', async () => {
    const object = await runner('edited');
    await client.patch(runners, { namespace, name: 'edited' }, { body: { spec: { suspend: true } } });
    const { client: noted, writer, logger } = counted();
    writer.want(runners, object, { phase: 'Online' }, { urgent: true });
    await writer.flush();
    expect(await version('edited')).toMatchObject({ spec: { suspend: true }, status: { phase: 'Online' } });
    expect(noted.writes).toHaveLength(2);
    expect(logger.lines).toEqual([]);
    await writer.stop();
  });

  const counted = () => {
    const noted = { writes: [] as number[], names: [] as string[] };
    const logger = recordingLogger();
    const patch: typeof client.patch = (type, ref, change) => {
      noted.writes.push(performance.now());
      noted.names.push(ref.name);
      return client.patch(type, ref, change);
    };
    return { client: noted, logger, writer: createStatusWriter({ client: { ...client, patch }, logger }) };
  };
});
