import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { calculateJwkThumbprint } from 'jose';
import { AccessTokens } from '@outrider/operator/identity/access-token';
import { createFolderKeyStore } from '@outrider/operator/identity/folder-key-store';
import { loadKeyMaterial } from '@outrider/operator/identity/key-material';
import { openStores } from '@outrider/operator/stores';
import { serveParent } from '../harness/rpc.ts';
import { benchNamespace, issuer, keysFolder, runnerName, type Credentials } from '../harness/site.ts';

const tokenLifeMs = 300_000;

export interface Registration {
  readonly dataDir: string;
  /** postgres://…; SQLite in `dataDir` when absent. */
  readonly ledgerUrl?: string;
  readonly count: number;
  /** File for the keys and tokens of the runners. */
  readonly file: string;
}

/**
 * Puts runners into a ledger as if each had registered, and gives out their keys and access tokens. What the operator would
 * do for 10,000 registrations is left out: it is done once in a runner's life.
 */
const register = async ({ dataDir, ledgerUrl, count, file }: Registration): Promise<void> => {
  const stores = await openStores({ dataDir, ledgerUrl, identity: 'registrar' });
  const keys = await loadKeyMaterial(createFolderKeyStore(keysFolder(dataDir)), Date.now());
  const tokens = new AccessTokens({
    key: keys.access,
    issuer,
    audience: 'outrider-runner',
    lifetimeMs: tokenLifeMs,
    now: Date.now,
  });
  const one = async (index: number): Promise<Credentials> => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const { x = '', d = '' } = privateKey.export({ format: 'jwk' });
    const clientId = await calculateJwkThumbprint({ kty: 'OKP', crv: 'Ed25519', x });
    const name = runnerName(index);
    await stores.ledger.putRunnerIdentity({
      clientId,
      publicKey: x,
      namespace: benchNamespace,
      name,
      permittedTags: null,
      requestedTags: null,
      local: false,
      registeredAt: Date.now(),
      revokedAt: null,
    });
    const claims = { namespace: benchNamespace, name, local: false };
    const token = tokens.issue({ subject: clientId, thumbprint: clientId }, claims);
    return { name, clientId, x, d, token: token.access_token, expiresIn: token.expires_in };
  };
  const made: Credentials[] = [];
  for (let at = 0; at < count; at += 500) {
    const batch = Array.from({ length: Math.min(500, count - at) }, (_, i) => one(at + i));
    made.push(...(await Promise.all(batch)));
  }
  await stores.close();
  writeFileSync(file, JSON.stringify(made), { mode: 0o600 });
};

const handlers = { register };
export type RegistrarHandlers = typeof handlers;
serveParent(handlers);
