import { must, run } from './command.ts';
import type { Footprint } from './footprint.ts';

/** Two addresses of one /30 network: the host's end and the other end of a veth pair. */
export interface Link {
  readonly hostAddress: string;
  readonly address: string;
}

/** The /30 networks that veth pairs take, in order: 10.213.0.0/30 to 10.213.255.252/30. */
export function linkAt(index: number): Link {
  const base = index * 4;
  const prefix = `10.213.${base >> 8}`;
  return { hostAddress: `${prefix}.${(base & 255) + 1}`, address: `${prefix}.${(base & 255) + 2}` };
}

const LINKS = 1 << 14;

/** The first link whose network is not mentioned in `taken` (addresses and routes, as `ip` prints them). */
export function freeLink(taken: string, from = 0): Link & { readonly index: number } {
  for (let index = from; index < LINKS; index++) {
    const link = linkAt(index);
    const network = link.hostAddress.replace(/\d+$/, (last) => String(Number(last) - 1));
    const used = [link.hostAddress, link.address, network].some((address) =>
      new RegExp(String.raw`(?<![\d.])${address.replaceAll('.', String.raw`\.`)}(?![\d.])`).test(taken),
    );
    if (!used) return { ...link, index };
  }
  throw new Error('every network between 10.213.0.0 and 10.213.255.255 is taken on this machine');
}

/** Where the far end of a pair goes: a named network namespace, or that of a process. */
export type Peer = { readonly netns: string } | { readonly pid: number };

export interface VethOptions {
  /** Name of the host's end, at most 15 characters. */
  readonly name: string;
  readonly peer: Peer;
}

/**
 * Joins a network namespace to the host by a veth pair on a free /30 network below 10.213.0.0/16; the far end
 * is named eth0 and its default route leads to the host.
 */
export async function joinByVeth(footprint: Footprint, options: VethOptions): Promise<Link> {
  const { name, peer } = options;
  const target = 'netns' in peer ? peer.netns : String(peer.pid);
  const inside = 'netns' in peer ? ['netns', 'exec', peer.netns] : [];
  const enter = 'netns' in peer ? ['ip', ...inside, 'ip'] : ['nsenter', '-t', String(peer.pid), '-n', 'ip'];
  footprint.add({ kind: 'interface', name });
  const pair = ['type', 'veth', 'peer', 'name', 'eth0', 'netns', target];
  await must('ip', ['link', 'add', name, ...pair]);
  const link = await takeAddress(name);
  const within = (...args: string[]): Promise<string> => must('env', [...enter, ...args]);
  await must('ip', ['link', 'set', name, 'up']);
  await within('address', 'add', `${link.address}/30`, 'dev', 'eth0');
  await within('link', 'set', 'lo', 'up');
  await within('link', 'set', 'eth0', 'up');
  await within('route', 'add', 'default', 'via', link.hostAddress);
  return link;
}

/** Another process may take the same network at the same moment: look again after adding the address. */
async function takeAddress(name: string): Promise<Link> {
  for (let from = 0; ;) {
    const taken =
      (await must('ip', ['-4', 'address', 'show'])) +
      (await must('ip', ['-4', 'route', 'show', 'table', 'all']));
    const link = freeLink(taken, from);
    await must('ip', ['address', 'add', `${link.hostAddress}/30`, 'dev', name]);
    const holders = (await must('ip', ['-o', '-4', 'address', 'show', 'to', link.hostAddress]))
      .trim()
      .split('\n');
    if (holders.length === 1) return { hostAddress: link.hostAddress, address: link.address };
    await run('ip', ['address', 'delete', `${link.hostAddress}/30`, 'dev', name]);
    from = link.index + 1 + (process.pid % 64);
  }
}
