import { createHash, createHmac } from 'node:crypto';

/** `authority` and `revoked` are the markers @cert-authority and @revoked. */
export interface KnownHostEntry {
  readonly marker: 'none' | 'authority' | 'revoked';
  /** Host patterns as written; empty for a bare public key, which is valid for any host. */
  readonly patterns: readonly string[];
  readonly type: string;
  /** The key blob, as it travels over the wire. */
  readonly key: Buffer;
}

const MARKERS: Readonly<Record<string, KnownHostEntry['marker']>> = {
  '@cert-authority': 'authority',
  '@revoked': 'revoked',
};

/** Reads known_hosts text. Lines that are comments, empty or not understood are skipped, as OpenSSH does. */
export function parseKnownHosts(text: string): KnownHostEntry[] {
  return text.split(/\r?\n/).flatMap((line) => parseLine(line.trim()) ?? []);
}

function parseLine(line: string): KnownHostEntry | undefined {
  const [first = '', ...others] = line.split(/\s+/);
  if (first === '' || first.startsWith('#')) return undefined;
  const marker = MARKERS[first] ?? 'none';
  const words = marker === 'none' ? [first, ...others] : others;
  const [hosts = '', ...key] = words;
  // A host may well be called ssh-1: it is followed by a type, and a type by a key.
  const bare = isKeyType(hosts) && !isKeyType(key[0] ?? '');
  return bare ? entry(marker, [], words) : entry(marker, hosts.split(','), key);
}

const isKeyType = (word: string): boolean => /^(ssh|ecdsa|sk)-[a-z0-9@.-]+$/.test(word);

function entry(
  marker: KnownHostEntry['marker'],
  patterns: string[],
  [type, blob]: string[],
): KnownHostEntry | undefined {
  const key = Buffer.from(blob ?? '', 'base64');
  if (type === undefined || !isKeyType(type) || keyType(key) !== type) return undefined;
  return { marker, patterns, type, key };
}

/** The type that a key blob names itself, such as ssh-ed25519; empty if it is no key. */
export function keyType(key: Buffer): string {
  if (key.length < 4) return '';
  const length = key.readUInt32BE(0);
  return length > key.length - 4 ? '' : key.toString('latin1', 4, 4 + length);
}

/** `SHA256:…` as ssh and ssh-keygen print it. */
export const fingerprintOf = (key: Buffer): string =>
  `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;

/** How known_hosts writes a host: `name` on port 22, else `[name]:port`. */
export const knownHostName = (host: string, port: number): string =>
  port === 22 ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`;

/** A line for known_hosts that trusts this key. */
export const knownHostsLine = (host: string, port: number, key: Buffer): string =>
  `${knownHostName(host, port)} ${keyType(key)} ${key.toString('base64')}`;

/**
 * Entries for a host. As in OpenSSH, lines without a port speak for a server on another port only if none names
 * that port.
 */
export function entriesFor(
  entries: readonly KnownHostEntry[],
  host: string,
  port: number,
): readonly KnownHostEntry[] {
  const exact = entries.filter((each) => matches(each, knownHostName(host, port)));
  if (port === 22 || exact.some((each) => each.marker === 'none')) return exact;
  return [...exact, ...entries.filter((each) => matches(each, host.toLowerCase()) && !exact.includes(each))];
}

function matches(entry: KnownHostEntry, name: string): boolean {
  if (entry.patterns.length === 0) return true;
  let found = false;
  for (const pattern of entry.patterns) {
    const negated = pattern.startsWith('!');
    if (!matchesPattern(negated ? pattern.slice(1) : pattern, name)) continue;
    if (negated) return false;
    found = true;
  }
  return found;
}

function matchesPattern(pattern: string, name: string): boolean {
  if (pattern.startsWith('|1|')) {
    const [salt, hash] = pattern.slice(3).split('|');
    if (salt === undefined || hash === undefined) return false;
    return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === hash;
  }
  return matchesWildcards(pattern.toLowerCase(), name);
}

/** `*` and `?` as in OpenSSH; linear in practice and quadratic at worst, whatever the pattern. */
function matchesWildcards(pattern: string, name: string): boolean {
  let [p, n, star, mark] = [0, 0, -1, 0];
  while (n < name.length) {
    if (pattern[p] === '*') {
      star = p++;
      mark = n;
    } else if (pattern[p] === '?' || pattern[p] === name[n]) {
      p++;
      n++;
    } else if (star >= 0) {
      p = star + 1;
      n = ++mark;
    } else {
      return false;
    }
  }
  while (pattern[p] === '*') p++;
  return p === pattern.length;
}
