import { readFileSync } from 'node:fs';
import { must, run } from '../servers/command.ts';

/** What a cluster or a demo could leave on the machine. */
export async function machine(): Promise<Record<string, string>> {
  const saved = await run('sh', ['-c', 'iptables-save 2>/dev/null | grep -v "^#"']);
  return {
    links: (await must('ip', ['-o', 'link'])).replaceAll(/ state \w+/g, ''),
    routes: await must('ip', ['-4', 'route', 'show', 'table', 'all']),
    namespaces: await must('ip', ['netns', 'list']),
    mounts: readFileSync('/proc/self/mounts', 'utf8'),
    nftables: await must('nft', ['list', 'ruleset']),
    iptables: saved.stdout,
    groups: await must('find', ['/sys/fs/cgroup', '-type', 'd', '-name', '*outrider*']),
    kernel: await must('sh', ['-c', 'cat /proc/sys/kernel/panic* /proc/sys/vm/overcommit_memory']),
    folders: await must('ls', ['/etc', '/run', '/var/lib', '/var/log']),
  };
}

/** Command lines of all processes that mention `text`. */
export async function processesWith(text: string): Promise<string[]> {
  const { stdout } = await run('ps', ['-eo', 'args']);
  return stdout.split('\n').filter((line) => line.includes(text));
}
