import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Session } from '@outrider/cli/portal/token-cache';
import type { Login } from '@outrider/kinds';
import { portalPaths } from '@outrider/portal';
import { systemNamespace } from '../servers/outrider.ts';
import { waitFor } from '../servers/wait.ts';
import { callPortal, grant, logInWith, serviceAccount, type Permission } from './access-fixture.ts';
import { startWitnessed } from './faults-fixture.ts';
import { useStack } from './stack.ts';

const stack = useStack();
const { namespace } = stack;
const log: Permission = { resources: ['workflowruns/log'], verbs: ['get'] };
const create: Permission = { resources: ['workflowruns'], verbs: ['create'] };
let ended: string;
let reader: string;
let nobody: string;

beforeAll(async () => {
  await stack.startRunner('local', { flags: ['--local-exec'] });
  await stack.allowLocalExec('local');
  for (const name of ['greet', 'other'])
    await stack.workflow(name, { steps: [{ name: 'say', node: 'local-exec', script: 'echo hello' }] });
  ended = await stack.startRun('greet');
  await stack.waitForEnd(ended);
  reader = await serviceAccount(stack, 'reader', log);
  nobody = await serviceAccount(stack, 'nobody');
});

const user = (name: string): string => `system:serviceaccount:${namespace}:${name}`;
const refusal = (name: string, what: string): string =>
  `User "${user(name)}" may not ${what} (outrider.dev) in namespace ${namespace}.`;

describe('logs -f', () => {
  test('needs nothing but the log permission, and shows lines while the step runs', async () => {
    const { name, witness } = await startWitnessed(stack, 'live', { node: 'local-exec' });
    const child = stack.spawnCli(['logs', name, '-f'], { kubeconfig: reader });
    if (!child.stdout || !child.stderr) throw new Error('the command line has no output');
    const errors = text(child.stderr);
    const closed = new Promise((resolve) => child.once('close', resolve));
    let output = '';
    child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()));
    await waitFor('a line of the running step', () => output.includes('begun'));
    expect(output).not.toContain('ended');
    expect((await stack.readRun(name)).status?.phase).toBe('Running');
    witness.open();
    expect(await closed, await errors).toBe(0);
    expect(output).toMatch(/begun\n.*ended\n/);
  });

  test('is refused without it, in words that say what is missing', async () => {
    const { code, stdout, stderr } = await stack.cli(['logs', ended, '-f'], { kubeconfig: nobody });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('Forbidden');
    expect(stderr).toContain(refusal('nobody', 'get workflowruns/log'));
    expect(stderr).toContain(
      'Ask an administrator of the namespace for a Role with verb "get" on "workflowruns/log".',
    );
  });

  test('ends when the permission is taken away, and so does the use of the token', async () => {
    const kubeconfig = await serviceAccount(stack, 'leaver', log);
    const { name, witness } = await startWitnessed(stack, 'watched', { node: 'local-exec' });
    try {
      await witness.begun();
      const following = stack.cli(['logs', name, '-f'], { kubeconfig });
      expect(await stack.cli(['logs', ended], { kubeconfig })).toMatchObject({ code: 0, stderr: '' });
      await stack.kubectl('delete', 'rolebinding', 'leaver');
      const refused = await waitFor('the token to be refused', async () => {
        const result = await stack.cli(['logs', ended], { kubeconfig });
        return result.code === 0 ? undefined : result;
      });
      expect(refused.stderr).toContain(refusal('leaver', 'get workflowruns/log'));
      const { code, stderr } = await following;
      expect(code).toBe(1);
      expect(stderr).toContain(refusal('leaver', 'get workflowruns/log'));
    } finally {
      witness.open();
    }
    expect((await stack.waitForEnd(name)).status?.phase).toBe('Succeeded');
  });
});

describe('what else people do', () => {
  test('listing and describing runs needs more than the log permission', async () => {
    const runs = await stack.cli(['runs'], { kubeconfig: reader });
    expect(runs).toMatchObject({ code: 1, stdout: '' });
    expect(runs.stderr).toContain(refusal('reader', 'list workflowruns'));
    const described = await stack.cli(['describe', ended], { kubeconfig: reader });
    expect(described).toMatchObject({ code: 1, stdout: '' });
    expect(described.stderr).toContain(refusal('reader', 'get workflowruns'));
    const runners = await stack.cli(['runners'], { kubeconfig: reader });
    expect(runners.stderr).toContain(refusal('reader', 'list runners'));
  });

  test('running needs the verb run on that workflow, whoever may create WorkflowRuns', async () => {
    const runGreet = { resources: ['workflows'], verbs: ['run'], resourceNames: ['greet'] };
    const kubeconfig = await serviceAccount(stack, 'oncall', create, log, runGreet);
    const other = await stack.cli(['run', 'other'], { kubeconfig });
    expect(other).toMatchObject({ code: 1, stdout: '' });
    expect(other.stderr).toContain(
      `user "${user('oncall')}" may not run workflow "other" in namespace "${namespace}"`,
    );
    const greet = await stack.cli(['run', 'greet', '--follow'], { kubeconfig });
    expect(greet.stdout).toContain('hello');
    expect(greet.code).toBe(0);
    const without = await stack.cli(['run', 'greet'], {
      kubeconfig: await serviceAccount(stack, 'creator', create),
    });
    expect(without.stderr).toContain(`user "${user('creator')}" may not run workflow "greet"`);
    expect(without.code).toBe(1);
  });

  test('making a registration token needs create on runners/registrationtoken', async () => {
    const refused = await stack.cli(['runner', 'token'], { kubeconfig: reader });
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toContain(refusal('reader', 'create runners/registrationtoken'));
    const permission = { resources: ['runners/registrationtoken'], verbs: ['create'] };
    const kubeconfig = await serviceAccount(stack, 'registrar', permission);
    const made = await stack.cli(['runner', 'token', '-o', 'name'], { kubeconfig });
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(made.stdout).toMatch(/^\S{40,}\n$/);
  });

  test('a user with a client certificate has the permissions of her groups', async () => {
    const group = `ops-${namespace}`;
    const ann = await stack.controlPlane.userKubeconfig(`ann-${namespace}`, [group]);
    const refused = await stack.cli(['logs', ended], { kubeconfig: ann });
    expect(refused.stderr).toContain(`User "ann-${namespace}" may not get workflowruns/log`);
    const subject = { kind: 'Group', name: group, apiGroup: 'rbac.authorization.k8s.io' } as const;
    await grant(stack, 'ops', { subject, rules: [log] });
    const shown = await waitFor('the group to count', async () => {
      const result = await stack.cli(['logs', ended], { kubeconfig: ann });
      return result.code === 0 ? result : undefined;
    });
    expect(shown.stdout).toContain('hello');
  });
});

describe('a user cannot act as another', () => {
  /** What the command line keeps for the user of the kubeconfig: token and key. */
  const sessionOf = async (name: string, kubeconfig: string): Promise<Session> => {
    const cache = join(stack.footprint.subfolder('sessions'), name);
    mkdirSync(cache, { mode: 0o700 });
    await stack.cli(['logs', ended], { kubeconfig, env: { XDG_CACHE_HOME: cache } });
    const folder = join(cache, 'outrider');
    const [file = ''] = readdirSync(folder);
    return JSON.parse(readFileSync(join(folder, file), 'utf8')) as Session;
  };

  test('with her token and a key of his own', async () => {
    const [hers, his] = [await sessionOf('reader', reader), await sessionOf('nobody', nobody)];
    const path = portalPaths.log(namespace, ended);
    const { accessToken } = hers;
    expect(await callPortal(stack, { path, accessToken, key: hers.key })).toMatchObject({ status: 200 });
    expect(await callPortal(stack, { path, accessToken, key: his.key })).toMatchObject({ status: 401 });
    const own = await callPortal(stack, { path, accessToken: his.accessToken, key: his.key });
    expect(own).toMatchObject({ status: 403, body: { code: 'Forbidden' } });
  });

  const loginOf = (name: string, publicKey: string): string =>
    JSON.stringify({
      apiVersion: 'outrider.dev/v1alpha1',
      kind: 'Login',
      metadata: { generateName: 'login-', namespace: systemNamespace },
      spec: {
        username: user(name),
        groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
        publicKey,
      },
    });

  test('by creating a Login in her name', async () => {
    const { key } = await sessionOf('nobody-2', nobody);
    const { code, stderr } = await stack.controlPlane.kubectl(['create', '-f', '-'], {
      kubeconfig: nobody,
      input: loginOf('reader', key.x),
    });
    expect(code).toBe(1);
    expect(stderr).toContain(`user "${user('nobody')}" cannot log in as "${user('reader')}"`);
  });

  test('by using her Login without her key', async () => {
    const { key } = await sessionOf('reader-2', reader);
    const created = await stack.controlPlane.mustKubectl(['create', '-o', 'json', '-f', '-'], {
      kubeconfig: reader,
      input: loginOf('reader', key.x),
    });
    const error: unknown = await logInWith(stack, JSON.parse(created) as Login).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({
      code: 'Unauthenticated',
      message: 'The client_id is not the thumbprint of the registered key.',
    });
  });
});

test("the operator's own ServiceAccount sufficed for all of this", () => {
  const text = readFileSync(stack.operator.process.logFile, 'utf8');
  expect(text).toContain('"msg":"leading"');
  expect(text.split('\n').filter((line) => /forbidden|"status":403/i.test(line))).toEqual([]);
});
