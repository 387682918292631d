import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must, run } from '../../servers/command.ts';
import { cacheFolder } from '../../servers/paths.ts';
import { fillCache } from '../../servers/tool-cache.ts';
import type { Sshd } from '../../servers/sshd.ts';

const version = '2.19.14';

/** Folder with ansible-core and what it needs, for PYTHONPATH; fetched once from the Python package index. */
const ansibleLibrary = (): Promise<string> =>
  fillCache(join(cacheFolder(), 'tools', `ansible-core-${version}`), {
    announce: `fetching ansible-core ${version} from the Python package index`,
    fill: async (folder) => {
      try {
        const pip = ['-m', 'pip', 'install', '--quiet', '--only-binary=:all:', '--target', folder];
        await must('python3', [...pip, `ansible-core==${version}`], { timeoutMs: 600_000 });
      } catch (error) {
        rmSync(folder, { recursive: true, force: true });
        throw error;
      }
    },
  });

export interface AnsibleOptions {
  readonly folder: string;
  readonly sshd: Sshd;
  readonly hosts: readonly string[];
  readonly forks: number;
}

/**
 * Milliseconds of `ansible all -m raw -a 'echo hello'`. Without a connection that is kept for later, since nothing comes
 * later; with host key checking, as the others.
 */
export const timeAnsible = async ({ folder, sshd, hosts, forks }: AnsibleOptions): Promise<number> => {
  const library = await ansibleLibrary();
  const inventory = join(folder, 'inventory');
  const knownHosts = join(folder, 'known_hosts');
  const [, type = '', key = ''] = sshd.knownHosts.trim().split(' ');
  writeFileSync(inventory, hosts.map((host) => `${host}\n`).join(''));
  writeFileSync(knownHosts, hosts.map((host) => `[${host}]:${sshd.port} ${type} ${key}\n`).join(''));
  const variables = {
    ansible_port: sshd.port,
    ansible_user: sshd.user,
    ansible_ssh_private_key_file: sshd.clientKeyFile,
  };
  const options = ['all', '-i', inventory, '-f', `${forks}`, '-m', 'raw', '-a', 'echo hello'];
  const begun = performance.now();
  const { code, stdout, stderr } = await run(
    'python3',
    ['-m', 'ansible', 'adhoc', ...options, '-e', JSON.stringify(variables)],
    {
      cwd: folder,
      timeoutMs: 300_000,
      env: {
        PYTHONPATH: library,
        LC_ALL: 'C.UTF-8',
        ANSIBLE_HOME: join(folder, 'ansible-home'),
        ANSIBLE_SSH_ARGS: `-o ControlMaster=no -o UserKnownHostsFile=${knownHosts}`,
        ANSIBLE_NOCOLOR: '1',
      },
    },
  );
  const took = performance.now() - begun;
  const done = stdout.split('\n').filter((line) => line === 'hello').length;
  if (code !== 0 || done !== hosts.length)
    throw new Error(`ansible reached ${done} of ${hosts.length} hosts: ${stderr.slice(0, 500)}`);
  return took;
};
