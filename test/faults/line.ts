import { must } from '../servers/command.ts';
import type { Destination, Netns } from '../servers/netns.ts';

/** How a line fails: packets vanish, or the connection is reset and new ones are refused. */
export type LineFault = 'drop' | 'reset';

const rulesFor = ({ host, port }: Destination, fault: LineFault): string => {
  const out = fault === 'drop' ? 'drop' : 'reject with tcp reset';
  return `table inet fault {
  chain input { type filter hook input priority -200; policy accept; ip saddr ${host} tcp sport ${port} ${fault === 'drop' ? 'drop' : 'accept'}; }
  chain output { type filter hook output priority -200; policy accept; ip daddr ${host} tcp dport ${port} ${out}; }
}
`;
};

/** The connections from inside a network namespace to one service, while the others go on. */
export const createLine = (netns: Netns, destination: Destination) => {
  const load = async (rules: string): Promise<void> => {
    await must('ip', ['netns', 'exec', netns.name, 'nft', '-f', '-'], { input: rules });
  };
  const heal = 'table inet fault\ndelete table inet fault\n';
  return {
    fail: (fault: LineFault) => load(heal + rulesFor(destination, fault)),
    heal: () => load(heal),
  };
};
export type Line = ReturnType<typeof createLine>;
