import { randomBytes } from 'node:crypto';
import { must } from './command.ts';
import { Footprint } from './footprint.ts';
import { joinByVeth } from './veth.ts';

/** A TCP service that may be reached. */
export interface Destination {
  /** IPv4 address. */
  readonly host: string;
  readonly port: number;
}

export interface NetnsOptions {
  /** Where what is made is listed. Default: one of its own, removed by `destroy`. */
  readonly footprint?: Footprint;
  /** Begins the name of the namespace; a random part follows, so that several may run. */
  readonly name: string;
  /** What may be reached from inside; everything else is refused at once. Default: nothing. */
  readonly allow?: readonly Destination[];
}

/** A network namespace that reaches the listed services on the host, and nothing else. Linux as root. */
export interface Netns {
  readonly name: string;
  /** The host's address as seen from inside: where services must listen. */
  readonly hostAddress: string;
  /** The address of what runs inside, as seen from the host. */
  readonly address: string;
  /** Put before a command line, runs it inside. */
  readonly exec: readonly string[];
  /** Replaces the list of what may be reached. */
  allow(destinations: readonly Destination[]): Promise<void>;
  /** Drops every packet in both directions, of open connections too, without telling either side. */
  cut(): Promise<void>;
  /** Ends a cut. */
  heal(): Promise<void>;
  /** Removes the namespace. What runs inside must have ended. */
  destroy(): Promise<void>;
}

/** nftables rules of the namespace: out to the listed services, in only as an answer. */
export function renderRules(allow: readonly Destination[]): string {
  const accepted = allow.map(({ host, port }) => `    ip daddr ${host} tcp dport ${port} accept`);
  return [
    'table inet reach',
    'delete table inet reach',
    'table inet reach {',
    '  chain input {',
    '    type filter hook input priority 0; policy drop;',
    '    iif lo accept',
    '    ct state established,related accept',
    '  }',
    '  chain output {',
    '    type filter hook output priority 0; policy drop;',
    '    oif lo accept',
    '    ct state established,related accept',
    ...accepted,
    '    meta l4proto tcp reject with tcp reset',
    '    reject',
    '  }',
    '}',
    '',
  ].join('\n');
}

const CUT = `table inet cut {
  chain input { type filter hook input priority -200; policy accept; iif != lo drop; }
  chain output { type filter hook output priority -200; policy accept; oif != lo drop; }
}
`;
const HEAL = 'table inet cut\ndelete table inet cut\n';

/** Makes a network namespace, joins it to the host by a veth pair and closes everything that is not allowed. */
export async function createNetns(options: NetnsOptions): Promise<Netns> {
  const footprint = options.footprint ?? Footprint.temporary('netns');
  const suffix = randomBytes(3).toString('hex');
  const name = `${options.name}-${suffix}`;
  const trace = { kind: 'netns', name } as const;
  const exec = ['ip', 'netns', 'exec', name];
  const load = async (rules: string): Promise<void> => {
    await must('ip', ['netns', 'exec', name, 'nft', '-f', '-'], { input: rules });
  };
  footprint.add(trace);
  try {
    await must('ip', ['netns', 'add', name]);
    await load(renderRules(options.allow ?? []));
    const link = await joinByVeth(footprint, { name: `outr-${suffix}`, peer: { netns: name } });
    return {
      name,
      ...link,
      exec,
      allow: (destinations) => load(renderRules(destinations)),
      cut: () => load(HEAL + CUT),
      heal: () => load(HEAL),
      destroy: () => (options.footprint === undefined ? footprint.end() : footprint.remove(trace)),
    };
  } catch (error) {
    if (options.footprint === undefined) await footprint.end();
    throw error;
  }
}
