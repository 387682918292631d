import { randomUUID } from 'node:crypto';
import { SignJWT, exportJWK, generateKeyPair, type CryptoKey, type JWK } from 'jose';
import { calculateJwkThumbprint } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import { DpopVerifier, accessTokenHash, normalUrl } from './dpop.ts';

const start = Date.parse('2026-11-22T12:00:00Z');
const url = 'https://runners.example.com:8443/runner/v1/poll';
let now: number;
let verifier: DpopVerifier;
let key: CryptoKey;
let jwk: JWK;
let thumbprint: string;

beforeEach(async () => {
  now = start;
  verifier = new DpopVerifier(() => now);
  const pair = await generateKeyPair('EdDSA', { crv: 'Ed25519' });
  key = pair.privateKey;
  jwk = await exportJWK(pair.publicKey);
  thumbprint = await calculateJwkThumbprint(jwk);
});

interface Change {
  readonly claims?: Record<string, unknown>;
  readonly header?: { typ?: string; jwk?: JWK };
}

const proof = (change: Change = {}): Promise<string> =>
  new SignJWT({
    htm: 'POST',
    htu: url,
    jti: randomUUID(),
    iat: now / 1000,
    nonce: verifier.nonce(),
    ...change.claims,
  })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'dpop+jwt', jwk, ...change.header })
    .sign(key);

const verify = async (change: Change = {}): Promise<void> =>
  verifier.verify(
    { method: 'POST', url, authorization: undefined, dpop: await proof(change) },
    { thumbprint },
  );

const refused = (why: string) => ({
  code: 'Unauthenticated',
  message: `The DPoP proof was refused: ${why}.`,
  details: { oauthError: 'invalid_dpop_proof' },
});

describe('a DPoP proof', () => {
  it('that one replica has taken is worth nothing at another, which asks for a nonce of its own', async () => {
    const other = new DpopVerifier(() => now);
    const context = { method: 'POST', url, authorization: undefined, dpop: await proof() };
    verifier.verify(context, { thumbprint });
    await expect(async () => other.verify(context, { thumbprint })).rejects.toMatchObject({
      details: { oauthError: 'use_dpop_nonce' },
    });
    const anew = { ...context, dpop: await proof({ claims: { nonce: other.nonce() } }) };
    other.verify(anew, { thumbprint });
  });

  it('is accepted once', async () => {
    const context = { method: 'POST', url, authorization: undefined, dpop: await proof() };
    verifier.verify(context, { thumbprint });
    await expect(async () => verifier.verify(context, { thumbprint })).rejects.toMatchObject(
      refused('it was used before (jti)'),
    );
  });

  it('of another key is refused', async () => {
    const dpop = await proof();
    const context = { method: 'POST', url, authorization: undefined, dpop };
    await expect(async () => verifier.verify(context, { thumbprint: 'other' })).rejects.toMatchObject(
      refused('it is signed by another key than the one expected'),
    );
  });

  it('whose header names a key that did not sign it is refused', async () => {
    const other = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
    const foreign = await exportJWK(other.publicKey);
    thumbprint = await calculateJwkThumbprint(foreign);
    await expect(verify({ header: { jwk: foreign } })).rejects.toMatchObject(
      refused('its signature does not fit its jwk'),
    );
    const secret = await exportJWK(other.privateKey);
    await expect(verify({ header: { jwk: secret } })).rejects.toMatchObject(
      refused('its jwk holds a private key'),
    );
  });

  it('of another kind of token is refused', async () => {
    await expect(verify({ header: { typ: 'JWT' } })).rejects.toMatchObject(
      refused('its typ is not dpop+jwt'),
    );
  });

  it('for another address or method is refused', async () => {
    await expect(
      verify({ claims: { htu: 'https://evil.example.com/runner/v1/poll' } }),
    ).rejects.toMatchObject(refused(`it is for another address than ${url} (htu)`));
    await expect(verify({ claims: { htm: 'GET' } })).rejects.toMatchObject(
      refused('it is for another method than POST (htm)'),
    );
  });

  it('may write the same address in another way', async () => {
    await expect(
      verify({ claims: { htu: 'HTTPS://Runners.Example.com:8443/runner/v1/poll?x=1#y' } }),
    ).resolves.toBeUndefined();
    expect(normalUrl('https://a.example:443/x')).toBe('https://a.example/x');
  });

  it('without a nonce, or with one that is minutes old, is told to use the new one', async () => {
    const told = { code: 'Unauthenticated', details: { oauthError: 'use_dpop_nonce' } };
    await expect(verify({ claims: { nonce: undefined } })).rejects.toMatchObject(told);
    const nonce = verifier.nonce();
    now += 60_000;
    await verify({ claims: { nonce } });
    now += 60_000;
    await expect(verify({ claims: { nonce } })).rejects.toMatchObject(told);
    await verify({ claims: { nonce: verifier.nonce() } });
  });

  it('seen before a restart is worth nothing after it', async () => {
    const dpop = await proof();
    const context = { method: 'POST', url, authorization: undefined, dpop };
    verifier.verify(context, { thumbprint });
    await expect(async () =>
      new DpopVerifier(() => now).verify(context, { thumbprint }),
    ).rejects.toMatchObject({
      details: { oauthError: 'use_dpop_nonce' },
    });
  });

  it('of a machine whose clock is minutes off is accepted, beyond five it says so', async () => {
    await verify({ claims: { iat: now / 1000 - 299 } });
    await verify({ claims: { iat: now / 1000 + 299 } });
    await expect(verify({ claims: { iat: now / 1000 - 400 } })).rejects.toMatchObject(
      refused(
        "its clock is 400 s behind the operator's, more than 300 s (iat); set the time on that machine",
      ),
    );
  });

  it('must name the hash of the access token that it comes with', async () => {
    const context = { method: 'POST', url, authorization: undefined };
    const expected = { thumbprint, accessToken: 'a.b.c' };
    await expect(async () =>
      verifier.verify({ ...context, dpop: await proof() }, expected),
    ).rejects.toMatchObject(refused('its ath is not the hash of the access token'));
    const dpop = await proof({ claims: { ath: accessTokenHash('a.b.c') } });
    expect(verifier.verify({ ...context, dpop }, expected)).toBeUndefined();
  });

  it('is refused rather than an older one forgotten when memory is full', async () => {
    verifier = new DpopVerifier(() => now, { capacity: 1 });
    await verify();
    await expect(verify()).rejects.toMatchObject({ code: 'TooManyRequests' });
    now += 121_000;
    await expect(verify()).resolves.toBeUndefined();
  });

  it('that is missing or cut is refused', async () => {
    const context = { method: 'POST', url, authorization: undefined };
    await expect(async () =>
      verifier.verify({ ...context, dpop: undefined }, { thumbprint }),
    ).rejects.toMatchObject(refused('the DPoP header is missing'));
    await expect(async () =>
      verifier.verify({ ...context, dpop: 'eyJ0' }, { thumbprint }),
    ).rejects.toMatchObject(refused('it is not a compact JWS'));
  });
});
