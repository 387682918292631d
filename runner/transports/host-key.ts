import { OutriderError } from '@outrider/protocol';
import { entriesFor, fingerprintOf, keyType, knownHostsLine, parseKnownHosts } from './known-hosts.ts';

/** What is known of a server's host key before it is asked. */
export interface HostKeyPolicy {
  readonly host: string;
  readonly port: number;
  /** `SHA256:…` fingerprint or known_hosts lines, from the Target or the step. */
  readonly pinned?: string | undefined;
  /** Text of the machine's known_hosts; used only if nothing is pinned. */
  readonly knownHosts?: string | undefined;
  /** Where that text came from, for messages. */
  readonly knownHostsFile?: string | undefined;
  /**
   * Used only if nothing is pinned and nothing known: told the key that was shown (algorithm, a space, base64), resolves
   * with the one on record, which is the same if this was the first.
   */
  readonly learn?: ((key: string) => Promise<string>) | undefined;
}

export interface HostKeyVerifier {
  /** Undefined if the key is the server's own; else why not. */
  check(key: Buffer): OutriderError | undefined;
  /** For a key that `check` does not know: the same once the key on record is known. Absent: unknown keys are refused. */
  readonly learn: ((key: Buffer) => Promise<OutriderError | undefined>) | undefined;
  /** Key types that are known for the server, so that it can be asked for one of those; empty if any will do. */
  readonly types: readonly string[];
  /** True when a server may have another key that fits: a fingerprint does not say its type. */
  readonly typeUnknown: boolean;
}

const FINGERPRINT = /^SHA256:[A-Za-z0-9+/]{43}=?$/;

/** Strict by construction: a key that nothing vouches for is refused. */
export function hostKeyVerifier(policy: HostKeyPolicy): HostKeyVerifier {
  const pinned = policy.pinned?.trim();
  if (pinned !== undefined && pinned.startsWith('SHA256:')) return byFingerprint(policy, pinned);
  return byKnownHosts(policy, pinned);
}

function byFingerprint(policy: HostKeyPolicy, pinned: string): HostKeyVerifier {
  if (!FINGERPRINT.test(pinned)) {
    throw new OutriderError({
      code: 'HostKeyMismatch',
      message: `The pinned host key of ${where(policy)} is no SHA-256 fingerprint: ${pinned.slice(0, 80)}.`,
      action: 'Write SHA256: and 43 characters of base64, as ssh-keygen -l prints them.',
    });
  }
  const expected = pinned.replace(/=$/, '');
  return {
    types: [],
    typeUnknown: true,
    learn: undefined,
    check: (key) => (fingerprintOf(key) === expected ? undefined : mismatch(policy, key, expected)),
  };
}

function byKnownHosts(policy: HostKeyPolicy, pinned: string | undefined): HostKeyVerifier {
  const { learn } = policy;
  const lines = parseKnownHosts(pinned ?? policy.knownHosts ?? '');
  // Pinned, a key without a host is that of the target. In a file for all hosts it speaks for none, as with ssh.
  const named = pinned === undefined ? lines.filter((line) => line.patterns.length > 0) : lines;
  const entries = entriesFor(named, policy.host, policy.port);
  const trusted = entries.filter((entry) => entry.marker === 'none');
  const authority = entries.some((entry) => entry.marker === 'authority');
  return {
    types: [...new Set(trusted.map((entry) => entry.type))],
    typeUnknown: false,
    learn: learn === undefined ? undefined : (key) => compareLearned(policy, key, learn),
    check: (key) => {
      if (entries.some((entry) => entry.marker === 'revoked' && entry.key.equals(key))) {
        return revoked(policy, key);
      }
      if (trusted.some((entry) => entry.key.equals(key))) return undefined;
      if (trusted.length === 0) return unknown(policy, key, authority);
      return mismatch(policy, key, trusted.map((entry) => fingerprintOf(entry.key)).join(' or '));
    },
  };
}

async function compareLearned(
  policy: HostKeyPolicy,
  key: Buffer,
  learn: NonNullable<HostKeyPolicy['learn']>,
): Promise<OutriderError | undefined> {
  const recorded = await learn(`${keyType(key)} ${key.toString('base64')}`);
  const expected = Buffer.from(recorded.split(' ')[1] ?? '', 'base64');
  if (expected.equals(key)) return undefined;
  return mismatch(policy, key, `${fingerprintOf(expected)}, as learned when this host was first met,`);
}

const where = ({ host, port }: HostKeyPolicy): string => `${host}:${port}`;

function source(policy: HostKeyPolicy): string {
  if (policy.pinned !== undefined) return 'the hostKey of the target';
  return policy.knownHostsFile === undefined
    ? 'neither the target nor the runner'
    : `neither the target nor ${policy.knownHostsFile} on the runner`;
}

function mismatch(policy: HostKeyPolicy, key: Buffer, expected: string): OutriderError {
  return new OutriderError({
    code: 'HostKeyMismatch',
    message: `${where(policy)} answered with host key ${fingerprintOf(key)} (${keyType(key)}), but ${expected} is expected. Nothing was sent to it.`,
    action:
      'If the server was set up anew, have its administrator confirm the fingerprint and set it as hostKey of the target, which goes before all else; otherwise somebody may be answering in its place.',
    details: { seen: fingerprintOf(key), expected },
  });
}

function revoked(policy: HostKeyPolicy, key: Buffer): OutriderError {
  return new OutriderError({
    code: 'HostKeyMismatch',
    message: `${where(policy)} answered with host key ${fingerprintOf(key)}, which is marked @revoked. Nothing was sent to it.`,
    action: 'Give the server a new host key, and pin that one.',
    details: { seen: fingerprintOf(key) },
  });
}

function unknown(policy: HostKeyPolicy, key: Buffer, authority: boolean): OutriderError {
  const knows =
    policy.pinned === undefined ? `${source(policy)} knows it` : `${source(policy)} has no line for it`;
  const certificates = authority
    ? ' A @cert-authority line was found; host certificates are not supported.'
    : '';
  return new OutriderError({
    code: 'HostKeyUnknown',
    message: `The host key of ${where(policy)} is unknown: ${knows}. The server showed ${fingerprintOf(key)} (${keyType(key)}).${certificates}`,
    action: `If its administrator confirms that fingerprint, set hostKey: ${fingerprintOf(key)} on the target, or add this line to the runner's known_hosts: ${knownHostsLine(policy.host, policy.port, key)}`,
    details: { seen: fingerprintOf(key), line: knownHostsLine(policy.host, policy.port, key) },
  });
}
