import { debianPackages } from './debian.ts';
import { NODE_PACKAGES } from './node.ts';

/** Debian packages of every server that tests start. Without root no namespaces are made: OpenSSH is enough. */
export const TEST_PACKAGES = ['openssh-server', 'openssh-client', 'openssl', ...NODE_PACKAGES] as const;

/**
 * Installs what tests need and is missing. Rejects, naming what to install, if that cannot be done: a test
 * that quietly did less would say nothing.
 */
export async function installTestPackages(): Promise<void> {
  if (process.platform !== 'linux') return;
  const wanted = process.getuid?.() === 0 ? TEST_PACKAGES : TEST_PACKAGES.slice(0, 3);
  const { missing, reason } = await debianPackages(wanted);
  if (missing.length > 0) throw new Error(`tests need ${missing.join(', ')}: ${reason}`);
}
