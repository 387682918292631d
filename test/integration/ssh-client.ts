import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run, type CommandResult } from '../servers/command.ts';
import type { Sshd } from '../servers/sshd.ts';

/** Runs a command over OpenSSH's own client, which accepts only the host key in `knownHosts`. */
export async function ssh(sshd: Sshd, knownHosts: string, command: string): Promise<CommandResult> {
  const folder = mkdtempSync(join(tmpdir(), 'outrider-ssh-'));
  try {
    const known = join(folder, 'known_hosts');
    writeFileSync(known, knownHosts);
    const options = ['BatchMode=yes', 'StrictHostKeyChecking=yes', `UserKnownHostsFile=${known}`];
    const args = [...options.flatMap((option) => ['-o', option]), '-F', 'none', '-i', sshd.clientKeyFile];
    return await run('ssh', [...args, '-p', String(sshd.port), `${sshd.user}@${sshd.host}`, command]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
