import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Login } from '@outrider/kinds';
import type { Controller } from '@outrider/operator/kube/controller';
import {
  credentialStores,
  logins,
  secrets,
  targets,
  workflowRuns,
  workflows,
} from '@outrider/operator/kube/resources';
import { createStatusWriter } from '@outrider/operator/kube/status-writer';
import { startLoginReconciler } from '@outrider/operator/logins/reconciler';
import { startStoreReconciler } from '@outrider/operator/stores/reconciler';
import { startTargetReconciler } from '@outrider/operator/targets/reconciler';
import { startWorkflowReconciler } from '@outrider/operator/workflows/reconciler';
import { waitFor } from '../servers/wait.ts';
import { useNamespace } from './cluster.ts';
import { kubeClient, recordingLogger } from './kube-fixture.ts';
import { conditionWith, create, startCaches } from './reconcilers-fixture.ts';

const cluster = useNamespace('reconcilers');
const { namespace } = cluster;
const client = kubeClient(cluster.controlPlane);
const logger = recordingLogger();
const stop = new AbortController();
const status = createStatusWriter({ client, logger });
let controllers: Controller[] = [];
let clock = Date.now();

/** Stands for a Vault server's health endpoint. */
let health = 503;
const vault = createServer((_, response) => response.writeHead(health).end());
let address = '';

beforeAll(async () => {
  await new Promise<void>((resolve) => vault.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(vault.address() as AddressInfo).port}`;
  const caches = startCaches(client, namespace, stop.signal);
  const common = { status, logger, now: () => clock };
  controllers = [
    startWorkflowReconciler({ ...caches, ...common }),
    startTargetReconciler({ ...caches, ...common }),
    startStoreReconciler({ ...caches, ...common, client, everyMs: 100, now: Date.now }),
    startLoginReconciler({ ...caches, ...common, client }),
  ];
});
afterAll(async () => {
  await Promise.all(controllers.map((controller) => controller.stop()));
  await status.stop();
  stop.abort();
  vault.close();
});

const reason = (type: typeof workflows, name: string, condition: string, wanted: string) =>
  conditionWith(client, type, { namespace, name, condition, reason: wanted });

describe('reconcilers on real objects', () => {
  test('a workflow applied before its target is accepted, and resolved when the target comes', async () => {
    const steps = [
      {
        name: 'hello',
        node: 'ssh-exec',
        script: 'hostname',
        target: { name: 'late-1' },
        credential: 'secret:key',
      },
    ];
    await create(client, workflows, { namespace, name: 'early', spec: { steps } });
    const missing = await reason(workflows, 'early', 'ReferencesResolved', 'TargetNotFound');
    expect(missing.message).toContain('has no Target late-1.');
    expect((await reason(workflows, 'early', 'Ready', 'Accepted')).status).toBe('True');
    await create(client, targets, { namespace, name: 'late-1', spec: { type: 'SSH', host: '192.0.2.1' } });
    await reason(workflows, 'early', 'ReferencesResolved', 'Resolved');
  });

  test('a workflow knows how its last run ended', async () => {
    const steps = [{ name: 'hello', node: 'local-exec', script: 'true' }];
    await create(client, workflows, { namespace, name: 'known', spec: { steps } });
    await reason(workflows, 'known', 'LastRunSucceeded', 'NeverRan');
    await create(client, workflowRuns, {
      namespace,
      name: 'known-1',
      spec: { workflowRef: { name: 'known' } },
    });
    const body = { status: { phase: 'Succeeded', completionTime: '2026-11-22T12:00:00Z' } };
    await client.patch(workflowRuns, { namespace, name: 'known-1' }, { body, subresource: 'status' });
    expect((await reason(workflows, 'known', 'LastRunSucceeded', 'Succeeded')).status).toBe('True');
  });

  test('a target follows the coming and going of its store', async () => {
    const spec = { type: 'SSH', host: '192.0.2.2', credential: 'prod:web' };
    await create(client, targets, { namespace, name: 'web', spec });
    await reason(targets, 'web', 'ReferencesResolved', 'StoreNotFound');
    const vaultSpec = { address: 'https://vault.example.com', jwt: { role: 'outrider' } };
    await create(client, credentialStores, { namespace, name: 'prod', spec: { vault: vaultSpec } });
    await reason(targets, 'web', 'ReferencesResolved', 'Resolved');
    await reason(credentialStores, 'prod', 'Reachable', 'CheckedByRunner');
    await client.delete(credentialStores, { namespace, name: 'prod' });
    await reason(targets, 'web', 'ReferencesResolved', 'StoreNotFound');
  });

  test('a store that the operator reads is looked at again and again, with the Secret of its AppRole', async () => {
    const appRole = { roleId: 'role', secretRef: { name: 'approle' } };
    await create(client, credentialStores, {
      namespace,
      name: 'own',
      spec: { access: 'Operator', vault: { address, appRole } },
    });
    await reason(credentialStores, 'own', 'Reachable', 'Sealed');
    await reason(credentialStores, 'own', 'ReferencesResolved', 'SecretNotFound');
    const secret = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'approle' },
      stringData: { other: 'x' },
    };
    await client.create(secrets, namespace, secret);
    await reason(credentialStores, 'own', 'ReferencesResolved', 'SecretNotAllowed');
    const labels = { 'outrider.dev/allow': 'true' };
    await client.patch(secrets, { namespace, name: 'approle' }, { body: { metadata: { labels } } });
    await reason(credentialStores, 'own', 'ReferencesResolved', 'CredentialInvalid');
    await client.patch(secrets, { namespace, name: 'approle' }, { body: { stringData: { secretId: 's' } } });
    health = 200;
    await reason(credentialStores, 'own', 'ReferencesResolved', 'Resolved');
    await reason(credentialStores, 'own', 'Reachable', 'Healthy');
  });

  test('a login whose key is none goes at once, another one after its hour', async () => {
    const key = Buffer.alloc(32, 7).toString('base64url');
    const spec = (publicKey: string) => ({
      username: 'admin',
      groups: ['system:masters', 'system:authenticated'],
      publicKey,
    });
    const exists = async (name: string) =>
      (await client.get<Login>(logins, { namespace, name })) !== undefined;
    await create(client, logins, { namespace, name: 'broken', spec: spec(`${key.slice(0, -1)}d`) });
    await waitFor('the broken login to go', async () => !(await exists('broken')));
    await create(client, logins, { namespace, name: 'fresh', spec: spec(key) });
    await create(client, logins, { namespace, name: 'second', spec: spec(`${key.slice(0, -1)}d`) });
    await waitFor('the second broken login to go', async () => !(await exists('second')));
    expect(await exists('fresh')).toBe(true);
    // The creation's time is the API server's.
    clock = Date.now() + 3_600_001;
    await client.patch(
      logins,
      { namespace, name: 'fresh' },
      { body: { metadata: { labels: { seen: 'yes' } } } },
    );
    await waitFor('the old login to go', async () => !(await exists('fresh')));
  });

  test('nothing was refused on the way', () => {
    expect(logger.lines.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([]);
  });
});
