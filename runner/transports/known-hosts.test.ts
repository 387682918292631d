import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hostKeyVerifier, type HostKeyPolicy } from './host-key.ts';
import { entriesFor, fingerprintOf, keyType, knownHostsLine, parseKnownHosts } from './known-hosts.ts';

const folder = mkdtempSync(join(tmpdir(), 'outrider-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Key {
  readonly line: string;
  readonly blob: Buffer;
}

function newKey(name: string, type: string): Key {
  const file = join(folder, name);
  const made = spawnSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', '', '-f', file], {
    encoding: 'utf8',
  });
  if (made.status !== 0) throw new Error(made.stderr);
  const line = readFileSync(`${file}.pub`, 'utf8').trim();
  return { line, blob: Buffer.from(line.split(' ')[1] ?? '', 'base64') };
}

let own: Key;
let other: Key;
beforeAll(() => {
  own = newKey('own', 'ed25519');
  other = newKey('other', 'ecdsa');
});

/** Undefined if the own key is accepted; else code and details. */
const verdict = (knownHosts: string, policy: Partial<HostKeyPolicy> = {}): string => {
  const error = hostKeyVerifier({ host: 'web-1.example', port: 22, knownHosts, ...policy }).check(own.blob);
  return error === undefined ? 'accepted' : error.code;
};

describe('keys', () => {
  test('have the fingerprint and type that ssh-keygen prints', () => {
    const printed = spawnSync('ssh-keygen', ['-l', '-f', join(folder, 'own.pub')], { encoding: 'utf8' });
    expect(printed.stdout).toContain(` ${fingerprintOf(own.blob)} `);
    expect([keyType(own.blob), keyType(Buffer.from('x')), keyType(Buffer.from('no key at all'))]).toEqual([
      'ssh-ed25519',
      '',
      '',
    ]);
  });
});

describe('a key without a host', () => {
  test('vouches for the target that pins it', () => {
    expect(verdict('', { pinned: own.line })).toBe('accepted');
  });

  test('vouches for nobody in a file for all hosts, as with ssh', () => {
    expect(verdict(own.line)).toBe('HostKeyUnknown');
  });

  test('is not what a host called ssh-1 is taken for', () => {
    expect(verdict(`ssh-1 ${own.line}`, { host: 'ssh-1' })).toBe('accepted');
    expect(verdict(`ssh-1 ${own.line}`)).toBe('HostKeyUnknown');
  });
});

describe('a known_hosts line vouches for a key', () => {
  test.each([
    ['its host', 'web-1.example'],
    ['one of several hosts', 'db.example,web-1.example'],
    ['a pattern', '*.example'],
    ['a pattern with ?', 'web-?.example'],
    ['its host in other letters', 'WEB-1.Example'],
  ])('by %s', (_what, hosts) => {
    expect(verdict(`${hosts} ${own.line}`)).toBe('accepted');
  });

  test('hashed by ssh-keygen -H, with and without a port', () => {
    const file = join(folder, 'hashed');
    writeFileSync(file, `web-1.example ${own.line}\n[web-2.example]:2222 ${own.line}\n`);
    spawnSync('ssh-keygen', ['-H', '-f', file]);
    const text = readFileSync(file, 'utf8');
    expect(text).toMatch(/^\|1\|.*\n\|1\|/);
    expect(verdict(text)).toBe('accepted');
    expect(verdict(text, { host: 'web-2.example', port: 2222 })).toBe('accepted');
    expect(verdict(text, { host: 'web-2.example' })).toBe('HostKeyUnknown');
  });

  test('without a port also on another port, unless another line names that port', () => {
    const plain = `web-1.example ${own.line}`;
    expect(verdict(plain, { port: 2222 })).toBe('accepted');
    expect(verdict(`${plain}\n[web-1.example]:2222 ${other.line}`, { port: 2222 })).toBe('HostKeyMismatch');
  });

  test('as a bare public key, when it is pinned', () => {
    expect(verdict('', { pinned: own.line })).toBe('accepted');
  });
});

describe('refused', () => {
  test('a key of another host, and one that a negated pattern excludes', () => {
    expect(verdict(`db.example ${own.line}`)).toBe('HostKeyUnknown');
    expect(verdict(`*.example,!web-1.example ${own.line}`)).toBe('HostKeyUnknown');
  });

  test('another key than the known one', () => {
    expect(verdict(`web-1.example ${other.line}`)).toBe('HostKeyMismatch');
  });

  test('a revoked key, though another line trusts it', () => {
    expect(verdict(`web-1.example ${own.line}\n@revoked * ${own.line}`)).toBe('HostKeyMismatch');
  });

  test('a key that only an authority could vouch for, and says why', () => {
    const verifier = hostKeyVerifier({
      host: 'web-1.example',
      port: 22,
      knownHosts: `@cert-authority *.example ${other.line}`,
    });
    expect(verifier.check(own.blob)?.message).toContain('host certificates are not supported');
  });

  test('everything, when lines are broken', () => {
    expect(parseKnownHosts('# comment\n\nweb-1.example\nweb-1.example ssh-ed25519 AAAA\n@revoked\n')).toEqual(
      [],
    );
  });

  test('the machine’s line, when the target pins another', () => {
    expect(verdict(`web-1.example ${own.line}`, { pinned: `web-1.example ${other.line}` })).toBe(
      'HostKeyMismatch',
    );
  });

  test('a fingerprint that is none', () => {
    expect(() => verdict('', { pinned: 'SHA256:short' })).toThrow('is no SHA-256 fingerprint: SHA256:short.');
  });
});

test('a fingerprint is compared with the key itself', () => {
  expect(verdict('', { pinned: fingerprintOf(own.blob) })).toBe('accepted');
  expect(verdict('', { pinned: fingerprintOf(other.blob) })).toBe('HostKeyMismatch');
});

test('an unknown key is shown with the line that would trust it', () => {
  const error = hostKeyVerifier({
    host: 'web-1.example',
    port: 2222,
    knownHostsFile: '/etc/outrider/known_hosts',
  }).check(own.blob);
  expect(error?.message).toBe(
    `The host key of web-1.example:2222 is unknown: neither the target nor /etc/outrider/known_hosts on the runner knows it. The server showed ${fingerprintOf(own.blob)} (ssh-ed25519).`,
  );
  const line = knownHostsLine('web-1.example', 2222, own.blob);
  expect(error?.action).toContain(line);
  expect(entriesFor(parseKnownHosts(line), 'web-1.example', 2222)).toHaveLength(1);
});

test('the types of known keys are asked for first', () => {
  const knownHosts = `web-1.example ${other.line}`;
  expect(hostKeyVerifier({ host: 'web-1.example', port: 22, knownHosts }).types).toEqual([
    'ecdsa-sha2-nistp256',
  ]);
});
