import { debianPackages } from './debian.ts';
import { NODE_PACKAGES } from './node.ts';

/** Debian packages of the servers that tests start without root. */
const SERVER_PACKAGES = ['openssh-server', 'openssh-client', 'openssl', 'postgresql'] as const;
/** Login shells of users that exist for one sshd only, which takes root. */
const SHELL_PACKAGES = ['busybox', 'tcsh', 'zsh'] as const;
/** What shows the order of system calls, and what sets the clock of one process: only faults need them. */
const FAULT_PACKAGES = ['faketime', 'strace'] as const;
/** As root, network namespaces and pods are made as well. */
export const TEST_PACKAGES = [
  ...SERVER_PACKAGES,
  ...NODE_PACKAGES,
  ...SHELL_PACKAGES,
  ...FAULT_PACKAGES,
] as const;

/**
 * Installs what tests need and is missing. Rejects, naming what to install, if that cannot be done: a test
 * that quietly did less would say nothing.
 */
export async function installTestPackages(): Promise<void> {
  if (process.platform !== 'linux') return;
  const wanted = process.getuid?.() === 0 ? TEST_PACKAGES : SERVER_PACKAGES;
  const { missing, reason } = await debianPackages(wanted);
  if (missing.length > 0) throw new Error(`tests need ${missing.join(', ')}: ${reason}`);
}
