import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Step, StepTarget } from '@outrider/kinds';
import { binary } from '../servers/binaries.ts';
import { freePort } from '../servers/ports.ts';
import { startSshd, type Sshd } from '../servers/sshd.ts';
import { completedOf, stepOf } from './bad-input-fixture.ts';
import { useStack } from './stack.ts';

const stack = useStack();
const password = 'correct horse battery staple';
let sshd: Sshd;
/** Another server, which does not let the first one's key in. */
let other: Sshd;
let target: StepTarget;

const secret = (
  name: string,
  stringData: Record<string, string>,
  labels = { 'outrider.dev/allow': 'true' },
) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, labels },
  stringData,
});

beforeAll(async () => {
  sshd = await startSshd({ footprint: stack.footprint, user: 'deploy', password });
  const { host, port, user, hostKeyFingerprint: hostKey } = sshd;
  target = { host, port, user, hostKey };
  other = await startSshd({ footprint: stack.footprint, name: 'other' });
  await stack.apply(
    secret('good', { 'ssh-privatekey': sshd.clientKeyPem }),
    secret('wrong-key', { 'ssh-privatekey': other.clientKeyPem }),
    secret('wrong-password', { password: 'hunter2-is-not-it' }),
    secret('no-key', { token: 'x' }),
    secret('broken-key', { 'ssh-privatekey': 'not a key at all' }),
    secret('kube', { kubeconfig: readFileSync(stack.controlPlane.adminKubeconfig, 'utf8') }),
  );
  await stack.kubectl('create', 'secret', 'generic', 'unlabelled', '--from-literal=password=x');
  await stack.startRunner('worker', { tags: ['kubectl'], flags: ['--kubectl', await binary('kubectl')] });
  await stack.startRunner('bare', { tags: ['bare'], flags: ['--kubectl', '/nonexistent/kubectl'] });
});

interface Failure {
  readonly reason: string;
  /** The whole message, of the step's result: nothing clipped. */
  readonly message: string;
}

/** Runs the one step to its failure, and checks that status, describe (once) and log say the same. */
const failureOf = async (name: string, step: Step): Promise<Failure> => {
  await stack.workflow(name, {
    runner: { tags: ['kubectl'] },
    steps: [{ name: 'act', ...step }],
  });
  const run = await stack.startRun(name);
  const ended = await stack.waitForEnd(run);
  expect(ended.status?.phase).toBe('Failed');
  const { reason = '', message: clipped = '', phase } = stepOf(ended, 'act');
  expect(phase).toBe('Failed');
  const completed = completedOf(ended);
  expect(completed.reason).toBe('StepFailed');
  const [, message = ''] = /^Step act ended Failed: (.*)$/s.exec(completed.message) ?? [];
  expect(message.slice(0, 255)).toBe(clipped.slice(0, 255).replace(/…$/, ''));
  const described = await stack.mustCli('describe', run);
  expect(described).toContain(reason);
  expect(described.split(message)).toHaveLength(2);
  const log = await stack.mustCli('logs', run);
  expect(log).toContain(message);
  expect(log).not.toContain('reached');
  return { reason, message };
};

const ssh = (over: Partial<Step>): Step => ({
  node: 'ssh-exec',
  script: 'echo reached',
  target,
  credential: 'secret:good',
  ...over,
});

describe('credentials', () => {
  test('an unlabelled Secret: SecretNotAllowed, with the command that allows it', async () => {
    expect(await failureOf('unlabelled', ssh({ credential: 'secret:unlabelled' }))).toEqual({
      reason: 'SecretNotAllowed',
      message:
        `The Secret unlabelled in namespace ${stack.namespace} is not meant for Outrider: it lacks the label outrider.dev/allow=true. ` +
        `If workflows of ${stack.namespace} may use it: kubectl -n ${stack.namespace} label secret unlabelled outrider.dev/allow=true`,
    });
  });

  test('an unknown Secret: SecretNotFound', async () => {
    expect(await failureOf('no-secret', ssh({ credential: 'secret:nowhere' }))).toEqual({
      reason: 'SecretNotFound',
      message: `There is no Secret nowhere in namespace ${stack.namespace}. Create it with the label outrider.dev/allow=true, or correct the credential of the step.`,
    });
  });

  test('an unknown store: StoreNotFound, with the stores that there are', async () => {
    const { reason, message } = await failureOf('no-store', ssh({ credential: 'vualt:prod/ssh' }));
    expect(reason).toBe('StoreNotFound');
    expect(message).toBe(
      `There is no CredentialStore vualt in namespace ${stack.namespace}. There: secret (secret is built in). Correct the part of the credential before the colon, or create the CredentialStore.`,
    );
  });

  test.each([
    [
      'no-key',
      'The credential secret:no-key has no key and no password; its fields are: token. Give it the field ssh-privatekey (or privateKey) or the field password.',
    ],
    ['broken-key', 'The private key of the credential secret:broken-key is unusable: '],
  ])('%s: CredentialInvalid, without a word of its content', async (name, words) => {
    const { reason, message } = await failureOf(name, ssh({ credential: `secret:${name}` }));
    expect(reason).toBe('CredentialInvalid');
    expect(message).toContain(words);
    expect(message).not.toContain('not a key at all');
  });
});

describe('ssh', () => {
  test.each([
    ['wrong-password', 'the password'],
    ['wrong-key', 'the private key'],
  ])('%s: AuthenticationFailed, with who, where and by what', async (name, method) => {
    expect(await failureOf(name, ssh({ credential: `secret:${name}` }))).toEqual({
      reason: 'AuthenticationFailed',
      message:
        `127.0.0.1:${sshd.port} refused user deploy with ${method} of the credential secret:${name}. ` +
        'Check the user, the credential, and that the server permits this kind of login (authorized_keys, PasswordAuthentication, AllowUsers).',
    });
  });

  test('a port that nobody listens on: TargetUnreachable', async () => {
    const port = await freePort();
    expect(await failureOf('refused', ssh({ target: { ...target, port } }))).toEqual({
      reason: 'TargetUnreachable',
      message: `Cannot reach 127.0.0.1:${port}: the connection was refused. Check that sshd runs there and listens on this port, and that no firewall rejects it.`,
    });
  });

  test('a host name that nobody knows: TargetUnreachable', async () => {
    const host = 'no-such-host.invalid';
    const { reason, message } = await failureOf('unknown-host', ssh({ target: { ...target, host } }));
    expect(reason).toBe('TargetUnreachable');
    expect(message).toMatch(
      /^Cannot reach no-such-host\.invalid:\d+: the host name (does not exist|could not be resolved)\. Check .*the DNS of the runner's machine\.$/,
    );
  });

  test('a missing interpreter: InterpreterNotFound', async () => {
    expect(await failureOf('interpreter', ssh({ interpreter: '/opt/none/bash' }))).toEqual({
      reason: 'InterpreterNotFound',
      message:
        'The interpreter /opt/none/bash does not exist on 127.0.0.1, or may not be executed. Install it there, or set interpreter to one that is there; /bin/sh is used when it is absent.',
    });
  });

  test('an unknown host key: HostKeyUnknown, with the fingerprint to confirm', async () => {
    const { host, port, user, hostKeyFingerprint, knownHosts } = sshd;
    expect(await failureOf('unknown-key', ssh({ target: { host, port, user } }))).toEqual({
      reason: 'HostKeyUnknown',
      message:
        `The host key of 127.0.0.1:${port} is unknown: neither the target nor the runner knows it. The server showed ${hostKeyFingerprint} (ssh-ed25519). ` +
        `If its administrator confirms that fingerprint, set hostKey: ${hostKeyFingerprint} on the target, or add this line to the runner's known_hosts: ${knownHosts.trim()}`,
    });
  });

  test('a changed host key: HostKeyMismatch, and nothing is sent to it', async () => {
    const { host, port, user, hostKeyFingerprint: before } = other;
    await other.rotateHostKey();
    const moved = { target: { host, port, user, hostKey: before }, credential: 'secret:wrong-key' };
    expect(await failureOf('changed-key', ssh(moved))).toEqual({
      reason: 'HostKeyMismatch',
      message:
        `127.0.0.1:${port} answered with host key ${other.hostKeyFingerprint} (ssh-ed25519), but ${before} is expected. Nothing was sent to it. ` +
        'If the server was set up anew, have its administrator confirm the fingerprint and set it as hostKey of the target, which goes before all else; otherwise somebody may be answering in its place.',
    });
  });
});

describe('kubectl', () => {
  const kubectl = (command: string, over: Partial<Step> = {}): Step => ({
    node: 'kubectl-exec',
    credential: 'secret:kube',
    command,
    ...over,
  });

  test('is not installed: KubectlMissing', async () => {
    expect(
      await failureOf('no-kubectl', kubectl('kubectl get pods', { runner: { tags: ['bare'] } })),
    ).toEqual({
      reason: 'KubectlMissing',
      message:
        "This runner has no kubectl: /nonexistent/kubectl does not exist, or may not be executed. Install kubectl there, set kubectl in the runner's configuration to its path, or send the step to a runner that has it.",
    });
  });

  test('a flag that changes server or identity: KubectlFlagRefused, with its line', async () => {
    const command = 'kubectl get pods\nkubectl get pods --token=abc';
    expect(await failureOf('flag', kubectl(command))).toEqual({
      reason: 'KubectlFlagRefused',
      message:
        'Line 2 of command uses --token, which a step may not set. The cluster, the identity and the files of kubectl are fixed by target and credential. Remove the flag, and set context, namespace and credential on the target instead.',
    });
  });

  test('a context that the credential does not have: ContextNotFound, with those that it has', async () => {
    const step = kubectl('kubectl get pods', { target: { context: 'prod-eks' } });
    expect(await failureOf('context', step)).toEqual({
      reason: 'ContextNotFound',
      message:
        'The kubeconfig of the credential secret:kube has no context prod-eks; its contexts are: outrider. Set target.context to one of them, or add the context to the kubeconfig.',
    });
  });

  test('a context that nobody knows: ContextNotFound', async () => {
    const step = kubectl('kubectl get pods', { target: { context: 'prod-eks' } });
    const { credential: _, ...bare } = step;
    expect(await failureOf('no-context', bare)).toEqual({
      reason: 'ContextNotFound',
      message:
        'Context prod-eks is not known here: the step has no credential, no Target of that name has one, and this runner permits these contexts of its own kubeconfig: none. ' +
        "Create a Target named prod-eks with a credential, set credential on the step, or list the context under kubeContexts in the runner's configuration.",
    });
  });

  test('a credential without a kubeconfig: CredentialInvalid', async () => {
    const step = kubectl('kubectl get pods', { credential: 'secret:no-key' });
    expect(await failureOf('no-kubeconfig', step)).toEqual({
      reason: 'CredentialInvalid',
      message:
        'The credential secret:no-key has no field kubeconfig; its fields are: token. Store a kubeconfig in the field kubeconfig.',
    });
  });
});
