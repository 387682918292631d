import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openCluster, type Cluster } from '../servers/cluster.ts';
import { run, type CommandResult } from '../servers/command.ts';
import { Footprint } from '../servers/footprint.ts';
import { repositoryRoot } from '../servers/paths.ts';
import { machine, processesWith } from './machine.ts';

const DEPLOYMENT = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: web
          image: outrider.dev/busybox:1
          command: [sh, -c, 'hostname >/tmp/index.html; exec httpd -f -p 8080 -h /tmp']
          readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
`;

describe.runIf(process.getuid?.() === 0)('make cluster', () => {
  const state = mkdtempSync(join(tmpdir(), 'outrider-cluster-test-'));
  const folder = join(state, 'cluster');
  let before: Record<string, string> = {};
  let cluster: Cluster;

  const command = async (name: string): Promise<CommandResult> =>
    run(process.execPath, ['--conditions=development', join(repositoryRoot, 'test/servers', name)], {
      env: { OUTRIDER_STATE: state },
      timeoutMs: 280_000,
    });

  beforeAll(async () => {
    before = await machine();
    const up = await command('cluster-up.ts');
    expect(up.code, up.stderr).toBe(0);
    expect(up.stdout).toContain('Node outrider-node at 10.213.');
    const footprint = Footprint.load(folder);
    const found = footprint === undefined ? undefined : openCluster(footprint);
    if (found === undefined) throw new Error(`${folder} describes no cluster`);
    cluster = found;
  });
  afterAll(async () => {
    await command('cluster-down.ts');
    rmSync(state, { recursive: true, force: true });
  });

  const kubectl = async (...args: string[]): Promise<string> => cluster.controlPlane.mustKubectl(args);
  const rollout = 'deployment "web" successfully rolled out';

  test('runs the pods of a Deployment, which answer under the name of their Service address', async () => {
    await cluster.controlPlane.mustKubectl(['apply', '-f', '-'], { input: DEPLOYMENT });
    expect(await kubectl('rollout', 'status', 'deployment/web', '--timeout=60s')).toContain(rollout);
    const address = await kubectl('get', 'service', 'web', '-o=jsonpath={.spec.clusterIP}');
    const pods = await kubectl('get', 'pods', '-o=name');
    const answer = await kubectl('exec', 'deploy/web', '--', 'wget', '-qO-', `http://${address}/`);
    expect(pods.split('\n')).toContain(`pod/${answer.trim()}`);
  });

  test('gives back output and exit code of a command in a pod', async () => {
    const args = ['exec', 'deploy/web', '--', 'sh', '-c', 'echo out; echo err >&2; exit 3'];
    const result = await cluster.controlPlane.kubectl(args);
    expect(result).toMatchObject({ code: 3, stdout: 'out\n' });
    expect(result.stderr).toContain('err\n');
  });

  test('restarts a Deployment with new pods', async () => {
    const before = await kubectl('get', 'pods', '-o=name');
    await kubectl('rollout', 'restart', 'deployment/web');
    expect(await kubectl('rollout', 'status', 'deployment/web', '--timeout=60s')).toContain(rollout);
    const serving = await kubectl('exec', 'deploy/web', '--', 'hostname');
    expect(before).not.toContain(serving.trim());
  });

  test('lets a pod reach the API server by its Service address', async () => {
    const script = `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 "$KUBERNETES_SERVICE_HOST" 443`;
    const answer = await kubectl('exec', 'deploy/web', '--', 'sh', '-c', script);
    // busybox speaks no TLS that the API server accepts; the refusal is the API server's own.
    expect(answer).toContain('Client sent an HTTP request to an HTTPS server.');
  });

  test('finds the cluster running when it is called again', async () => {
    const again = await command('cluster-up.ts');
    expect(again.stdout).toContain(`Kubernetes is running already at ${cluster.controlPlane.url}.`);
    expect(again.code).toBe(0);
  });

  test('leaves no process, mount, interface, rule, control group or file after make cluster-down', async () => {
    const down = await command('cluster-down.ts');
    expect(down).toMatchObject({ code: 0, stderr: '' });
    expect(await machine()).toEqual(before);
    expect(await processesWith(folder)).toEqual([]);
    expect(existsSync(folder)).toBe(false);
    expect((await command('cluster-down.ts')).stdout).toBe('No cluster was started here.\n');
  });
});
