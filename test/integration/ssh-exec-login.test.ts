import { closeConnections } from '@outrider/nodes/ssh-exec/execute';
import type { TestContext } from '@outrider/nodes/test-context';
import { OutriderError, type NodeInput } from '@outrider/protocol';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { must } from '../servers/command.ts';
import { freePort } from '../servers/ports.ts';
import { startSshd, type Sshd } from '../servers/sshd.ts';
import { run, sshAttempt, type SshMore } from './ssh-fixture.ts';

const PASSWORD = 'correct horse battery';

let server: Sshd;
beforeAll(async () => {
  server = await startSshd({ user: 'deploy', password: PASSWORD });
});
afterAll(async () => {
  closeConnections();
  await server.stop();
});

const ssh = (input: NodeInput, more: SshMore = {}, on: Sshd = server): TestContext =>
  sshAttempt(on, input, more);

async function refusal(attempt: TestContext): Promise<OutriderError> {
  const error: unknown = await run(attempt).catch((reason: unknown) => reason);
  if (error instanceof OutriderError) return error;
  throw new Error(`no OutriderError: ${JSON.stringify(error)}`);
}

describe('login', () => {
  test('with a password', async () => {
    const attempt = ssh({ script: 'id -un' }, { credential: { password: PASSWORD } });
    expect((await run(attempt)).outcome).toBe('Succeeded');
    expect(attempt.stdout()).toBe('deploy\n');
  });

  test('with a user from the credential', async () => {
    const credential = { username: 'deploy', privateKey: server.clientKeyPem };
    const { user: _, ...connection } = ssh({}).context.connection;
    const attempt = ssh({ script: 'id -un' }, { credential });
    const result = await run({ ...attempt, context: { ...attempt.context, connection } });
    expect([result.outcome, attempt.stdout()]).toEqual(['Succeeded', 'deploy\n']);
  });

  test('with an encrypted key needs its passphrase', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'outrider-test-'));
    try {
      const file = join(folder, 'key');
      await must('cp', [server.clientKeyFile, file]);
      await must('ssh-keygen', ['-q', '-p', '-P', '', '-N', 'open sesame', '-f', file]);
      const privateKey = readFileSync(file, 'utf8');
      const attempt = ssh({ script: 'true' }, { credential: { privateKey, passphrase: 'open sesame' } });
      expect((await run(attempt)).outcome).toBe('Succeeded');
      const messages = await Promise.all(
        [{ privateKey }, { privateKey, passphrase: 'wrong' }].map(
          async (credential) => (await refusal(ssh({ script: 'true' }, { credential }))).message,
        ),
      );
      expect(messages).toEqual([
        'The private key of the credential is unusable: it is encrypted, and the credential has no passphrase.',
        'The private key of the credential is unusable: it cannot be decrypted with the passphrase.',
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('with the wrong password is AuthenticationFailed', async () => {
    const error = await refusal(ssh({ script: 'true' }, { credential: { password: 'wrong' } }));
    expect([error.code, error.message]).toEqual([
      'AuthenticationFailed',
      `127.0.0.1:${server.port} refused user deploy with the password of the credential.`,
    ]);
  });

  test('without a user is UserMissing', async () => {
    const attempt = ssh({ script: 'true' });
    const { user: _, ...connection } = attempt.context.connection;
    const error = await refusal({ ...attempt, context: { ...attempt.context, connection } });
    expect([error.code, error.message]).toEqual([
      'UserMissing',
      'No user is given for the login on 127.0.0.1.',
    ]);
  });

  test('with a key that is none, and without key and password, is CredentialInvalid', async () => {
    const bad = await refusal(ssh({ script: 'true' }, { credential: { 'ssh-privatekey': 'not a key' } }));
    expect([bad.code, bad.message]).toEqual([
      'CredentialInvalid',
      'The private key of the credential is unusable: it cannot be read as a private key.',
    ]);
    const empty = await refusal(ssh({ script: 'true' }, { credential: { token: 'x' } }));
    expect([empty.code, empty.message]).toEqual([
      'CredentialInvalid',
      'The credential  has no key and no password; its fields are: token.',
    ]);
  });
});

describe('host keys under AcceptNew', () => {
  const acceptNew = { hostKey: undefined, hostKeyPolicy: 'AcceptNew' } as const;
  /** What the operator does: the first key stays. */
  const ledger = (): { keys: Map<string, string>; learn: NonNullable<SshMore['learnHostKey']> } => {
    const keys = new Map<string, string>();
    return {
      keys,
      learn: async ({ host, port, key }) => {
        const known = keys.get(`${host}:${port}`) ?? key;
        keys.set(`${host}:${port}`, known);
        return known;
      },
    };
  };

  test('the first key is recorded, and a changed one is refused before anything is sent', async () => {
    const own = await startSshd({ user: 'deploy', password: PASSWORD });
    try {
      const { keys, learn } = ledger();
      const more = { target: acceptNew, credential: { password: PASSWORD }, learnHostKey: learn };
      expect((await run(ssh({ script: 'true' }, more, own))).outcome).toBe('Succeeded');
      const [recorded = ''] = keys.values();
      expect(own.knownHosts).toContain(recorded);
      const before = own.hostKeyFingerprint;
      closeConnections();
      await own.rotateHostKey();
      const logged = readFileSync(own.logFile, 'utf8').length;
      expect((await refusal(ssh({ script: 'true' }, more, own))).message).toBe(
        `127.0.0.1:${own.port} answered with host key ${own.hostKeyFingerprint} (ssh-ed25519), but ${before}, as learned when this host was first met, is expected. Nothing was sent to it.`,
      );
      expect(readFileSync(own.logFile, 'utf8').slice(logged)).not.toContain('Accepted password');
    } finally {
      await own.stop();
    }
  });

  test('nobody is asked when the key is pinned, and an operator that does not answer means no', async () => {
    const pinned = ssh({ script: 'true' }, { target: { hostKeyPolicy: 'AcceptNew' } });
    expect((await run(pinned)).outcome).toBe('Succeeded');
    const silent = ssh(
      { script: 'true' },
      { target: acceptNew, learnHostKey: () => Promise.reject(new Error('no answer')) },
    );
    expect((await refusal(silent)).message).toBe('no answer');
  });
});

describe('host keys', () => {
  test('by known_hosts lines of the target, or of the machine', async () => {
    const pinned = ssh({ script: 'true' }, { target: { hostKey: server.knownHosts } });
    expect((await run(pinned)).outcome).toBe('Succeeded');
  });

  test('by the fingerprint of any of the server’s keys, whichever the client would ask for first', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'outrider-test-'));
    const file = join(folder, 'host_ecdsa');
    await must('ssh-keygen', ['-q', '-t', 'ecdsa', '-N', '', '-f', file]);
    const own = await startSshd({ config: [`HostKey ${file}`] });
    try {
      const [, hostKey = ''] = (await must('ssh-keygen', ['-l', '-f', `${file}.pub`])).split(' ');
      expect(hostKey).not.toBe(own.hostKeyFingerprint);
      for (const pinned of [hostKey, own.hostKeyFingerprint]) {
        const attempt = ssh({ script: 'true' }, { target: { hostKey: pinned } }, own);
        expect((await run(attempt)).outcome).toBe('Succeeded');
      }
    } finally {
      await own.stop();
      rmSync(folder, { recursive: true });
    }
  });

  test('an unknown one is refused with its fingerprint and the line to add', async () => {
    const attempt = ssh({ script: 'true' });
    const { hostKey: _, ...connection } = attempt.context.connection;
    const error = await refusal({ ...attempt, context: { ...attempt.context, connection } });
    expect(error.code).toBe('HostKeyUnknown');
    expect(error.message).toContain(`The server showed ${server.hostKeyFingerprint}`);
    expect(error.action).toContain(server.knownHosts.trim());
  });

  test('a changed one is refused before anything is sent', async () => {
    const own = await startSshd();
    try {
      const before = own.hostKeyFingerprint;
      await own.rotateHostKey();
      const error = await refusal(ssh({ script: 'true' }, { target: { hostKey: before } }, own));
      expect(error.code).toBe('HostKeyMismatch');
      expect(error.message).toContain(`answered with host key ${own.hostKeyFingerprint}`);
      expect(readFileSync(own.logFile, 'utf8')).not.toContain('Accepted publickey');
    } finally {
      await own.stop();
    }
  });
});

describe('what cannot run', () => {
  test('an unreachable port is refused, by its name', async () => {
    const port = await freePort();
    const error = await refusal(ssh({ script: 'true' }, { target: { port } }));
    expect([error.code, error.message]).toEqual([
      'TargetUnreachable',
      `Cannot reach 127.0.0.1:${port}: the connection was refused.`,
    ]);
  });

  test('a host name that does not exist', async () => {
    const error = await refusal(ssh({ script: 'true' }, { target: { host: 'no-such-host.invalid' } }));
    expect(error.code).toBe('TargetUnreachable');
    expect(error.message).toMatch(/^Cannot reach no-such-host\.invalid:\d+: the host name /);
  });

  test('a missing interpreter and a missing workdir', async () => {
    const error = await refusal(ssh({ script: 'true', interpreter: '/no/such/ruby -w' }));
    expect([error.code, error.message]).toEqual([
      'InterpreterNotFound',
      'The interpreter /no/such/ruby -w does not exist on 127.0.0.1, or may not be executed.',
    ]);
    const other = await refusal(ssh({ script: 'true', workdir: '/no/such' }));
    expect(other.code).toBe('CommandInvalid');
  });
});
