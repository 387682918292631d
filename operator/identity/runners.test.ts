import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestKey, startIdentity, type IdentityFixture } from './fixture.ts';

const url = 'https://runners.example.com:8443';
const tokenUrl = `${url}/runner/v1/token`;
const pollUrl = `${url}/runner/v1/poll`;
let fixture: IdentityFixture;
let key: TestKey;

beforeEach(async () => {
  fixture = await startIdentity();
  key = (await fixture.join('edge-1')).useNonce(fixture.identity.nonce());
});
afterEach(() => fixture.close());

const getToken = async (): Promise<string> => {
  const { token } = await fixture.identity.issueToken(await key.form(tokenUrl), await key.proof(tokenUrl));
  return token.access_token;
};

const refused = (why: string, word = 'invalid_client') => ({
  code: 'Unauthenticated',
  message: `The client assertion was refused: ${why}.`,
  details: { oauthError: word },
});

describe('the token endpoint', () => {
  it('gives the key a token of five minutes that names the runner', async () => {
    const { token, dpopNonce } = await fixture.identity.issueToken(
      await key.form(tokenUrl),
      await key.proof(tokenUrl),
    );
    expect(token).toMatchObject({ token_type: 'DPoP', expires_in: 300 });
    expect(dpopNonce).toBe(fixture.identity.nonce());
    const proof = await key.proof(pollUrl, token.access_token);
    expect(await fixture.identity.authenticate(proof)).toEqual({
      clientId: key.thumbprint,
      namespace: 'team-a',
      name: 'edge-1',
      local: false,
    });
  });

  it('asks for its nonce first, and then takes the same assertion', async () => {
    const form = await key.form(tokenUrl);
    key.useNonce('old');
    await expect(fixture.identity.issueToken(form, await key.proof(tokenUrl))).rejects.toMatchObject({
      details: { oauthError: 'use_dpop_nonce' },
    });
    key.useNonce(fixture.identity.nonce());
    await expect(fixture.identity.issueToken(form, await key.proof(tokenUrl))).resolves.toBeDefined();
    await expect(fixture.identity.issueToken(form, await key.proof(tokenUrl))).rejects.toMatchObject(
      refused('it was used before (jti)'),
    );
  });

  it.each([
    ['of another server', { aud: 'https://evil.example.com/runner/v1/token' }, `its aud is not ${tokenUrl}`],
    ['of another client', { sub: 'somebody' }, 'its iss and sub are not the client_id'],
    [
      'that is valid for hours',
      { exp: Date.parse('2026-11-22T14:00:00Z') / 1000 },
      'it is valid for more than 5 minutes (exp)',
    ],
    ['that has expired', { exp: Date.parse('2026-11-22T11:54:00Z') / 1000 }, 'it has expired (exp)'],
    ['without jti', { jti: undefined }, 'it has no jti, or one that is too long'],
  ])('refuses an assertion %s', async (_, changes, why) => {
    const form = { ...(await key.form(tokenUrl, changes)), client_id: key.thumbprint };
    await expect(fixture.identity.issueToken(form, await key.proof(tokenUrl))).rejects.toMatchObject(
      refused(why),
    );
  });

  it('refuses a key that never joined, and a proof of another key than the assertion', async () => {
    const stranger = (await TestKey.make(() => fixture.clock.now)).useNonce(fixture.identity.nonce());
    await expect(
      fixture.identity.issueToken(await stranger.form(tokenUrl), await stranger.proof(tokenUrl)),
    ).rejects.toMatchObject({ message: 'The operator knows no runner with this key.' });
    await expect(
      fixture.identity.issueToken(await key.form(tokenUrl), await stranger.proof(tokenUrl)),
    ).rejects.toMatchObject({ details: { oauthError: 'invalid_dpop_proof' } });
  });

  it('refuses other grants', async () => {
    const form = { ...(await key.form(tokenUrl)), grant_type: 'password' };
    await expect(fixture.identity.issueToken(form, await key.proof(tokenUrl))).rejects.toMatchObject({
      code: 'BadRequest',
      details: { oauthError: 'unsupported_grant_type' },
    });
  });

  it('refuses a revoked runner', async () => {
    await fixture.ledger.revokeRunnerIdentity({ clientId: key.thumbprint, now: fixture.clock.now });
    await expect(getToken()).rejects.toMatchObject({
      code: 'RunnerRevoked',
      message: 'Runner team-a/edge-1 was revoked; its key is refused.',
    });
  });
});

describe('an access token', () => {
  it('is worth nothing without the key', async () => {
    const token = await getToken();
    const thief = (await TestKey.make(() => fixture.clock.now)).useNonce(fixture.identity.nonce());
    await expect(fixture.identity.authenticate(await thief.proof(pollUrl, token))).rejects.toMatchObject({
      code: 'Unauthenticated',
      message: 'The DPoP proof was refused: it is signed by another key than the one expected.',
    });
    await expect(
      fixture.identity.authenticate({ ...(await key.proof(pollUrl, token)), dpop: undefined }),
    ).rejects.toMatchObject({ details: { oauthError: 'invalid_dpop_proof' } });
  });

  it('expires, although it was verified before', async () => {
    const token = await getToken();
    await fixture.identity.authenticate(await key.proof(pollUrl, token));
    fixture.clock.now += 300_000;
    key.useNonce(fixture.identity.nonce());
    await expect(fixture.identity.authenticate(await key.proof(pollUrl, token))).rejects.toMatchObject({
      message: 'The access token was refused: it has expired.',
      details: { oauthError: 'invalid_token' },
    });
  });

  it('that was altered is refused', async () => {
    const [header, payload, signature] = (await getToken()).split('.');
    const claims: unknown = JSON.parse(Buffer.from(payload ?? '', 'base64url').toString());
    const other = Buffer.from(JSON.stringify({ ...Object(claims), local: true })).toString('base64url');
    const token = `${header}.${other}.${signature}`;
    await expect(fixture.identity.authenticate(await key.proof(pollUrl, token))).rejects.toMatchObject({
      message: 'The access token was refused: it is not one of this operator, or not for this API.',
    });
  });

  it('of a runner that is revoked meanwhile is refused at once', async () => {
    const token = await getToken();
    fixture.identity.revoked(key.thumbprint);
    await expect(fixture.identity.authenticate(await key.proof(pollUrl, token))).rejects.toMatchObject({
      code: 'RunnerRevoked',
    });
  });
});
