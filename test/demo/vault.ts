import type { ControlPlane } from '../servers/control-plane.ts';
import type { OpenBao } from '../servers/openbao.ts';
import { systemNamespace } from '../servers/outrider.ts';
import type { Sshd } from '../servers/sshd.ts';

/**
 * What an administrator of Vault does once: trust the operator's key for attempt tokens, and let workflows of one
 * namespace read the secrets below one prefix.
 */
export const configureVault = async (
  bao: OpenBao,
  controlPlane: ControlPlane,
  audience: string,
): Promise<void> => {
  const data = await controlPlane.mustKubectl([
    '-n',
    systemNamespace,
    'get',
    'configmap',
    'outrider-portal',
    '-o',
    'json',
  ]);
  const { data: published } = JSON.parse(data) as { data: Record<string, string> };
  await bao.enableJwt('jwt', [published['jwt.pub'] ?? ''], published['issuer']);
  await bao.writePolicy('outrider', 'path "secret/data/outrider/*" { capabilities = ["read"] }');
  await bao.writeJwtRole('jwt', {
    name: 'outrider',
    audience,
    policies: ['outrider'],
    boundClaims: { namespace: 'operations' },
  });
};

export const storeServerKey = (bao: OpenBao, sshd: Sshd): Promise<void> =>
  bao.writeSecret('secret', 'outrider/prod-server-ssh-key', {
    username: sshd.user,
    'ssh-privatekey': sshd.clientKeyPem,
  });
