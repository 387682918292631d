import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseRegistrationToken } from '@outrider/protocol';
import { runners } from '../kube/resources.ts';
import { TestKey, startIdentity, type IdentityFixture } from './fixture.ts';

let fixture: IdentityFixture;
const now = (): number => fixture.clock.now;
const makeKey = (): Promise<TestKey> => TestKey.make(now);

beforeEach(async () => {
  fixture = await startIdentity();
});
afterEach(() => fixture.close());

interface Terms {
  readonly tags?: string[] | null;
  readonly local?: boolean;
  readonly ttlMs?: number;
}

const makeToken = async ({ tags = null, local = false, ttlMs }: Terms = {}): Promise<string> => {
  const request = { namespace: 'team-a', tags, local, createdBy: 'ann' };
  const made = await fixture.identity.createRegistrationToken(
    ttlMs === undefined ? request : { ...request, ttlMs },
  );
  return made.token;
};

interface Asking {
  readonly key?: TestKey;
  readonly name?: string;
  readonly tags?: string[];
}

const join = async (token: string, { key, name = 'edge-1', tags }: Asking = {}) =>
  fixture.identity.register(await (key ?? (await makeKey())).registration(token, name, tags));

describe('a registration token', () => {
  it('used by two keys at once joins exactly one of them', async () => {
    const token = await makeToken();
    const answers = await Promise.allSettled([join(token), join(token, { name: 'edge-2' })]);
    expect(answers.map((each) => each.status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(answers.find((each) => each.status === 'rejected')?.reason).toMatchObject({
      code: 'RegistrationTokenUsed',
      message: 'Another runner has joined with this registration token; each is good for one key.',
    });
    expect(await fixture.ledger.listRunnerIdentities()).toHaveLength(1);
  });

  it('gives the same key the same answer again', async () => {
    const token = await makeToken({ tags: ['linux'] });
    const key = await makeKey();
    const first = await join(token, { key });
    expect(first).toEqual({
      namespace: 'team-a',
      name: 'edge-1',
      uid: expect.stringMatching(/^[0-9a-f-]{36}$/),
      clientId: key.thumbprint,
      tags: ['linux'],
    });
    expect(await join(token, { key })).toEqual(first);
  });

  it('is refused after its time', async () => {
    const token = await makeToken({ ttlMs: 60_000 });
    fixture.clock.now += 60_001;
    await expect(join(token)).rejects.toMatchObject({
      code: 'RegistrationTokenExpired',
      message: 'The registration token has expired.',
    });
  });

  it('that is cut is refused, and the whole one is good afterwards', async () => {
    const token = await makeToken();
    expect(() => parseRegistrationToken(token.slice(0, -30))).toThrow('it is cut or altered');
    const key = await makeKey();
    const request = await key.registration(token, 'edge-1');
    await expect(
      fixture.identity.register({ ...request, secret: request.secret.slice(0, 20) }),
    ).rejects.toMatchObject({ code: 'Unauthenticated' });
    await expect(fixture.identity.register(request)).resolves.toMatchObject({ name: 'edge-1' });
  });

  it('cannot be bound to a key by somebody who does not hold that key', async () => {
    const token = await makeToken();
    const [key, thief] = [await makeKey(), await makeKey()];
    const request = await key.registration(token, 'edge-1');
    const publicKey = { kty: 'OKP', crv: 'Ed25519', x: thief.x } as const;
    await expect(fixture.identity.register({ ...request, publicKey })).rejects.toMatchObject({
      code: 'Unauthenticated',
      message: "The proof of the runner's key was refused: its signature does not fit publicKey.",
    });
    await expect(fixture.identity.register(request)).resolves.toMatchObject({ clientId: key.thumbprint });
  });

  it('is stored as a hash only', async () => {
    const { secret } = parseRegistrationToken(await makeToken());
    expect(JSON.stringify(await fixture.ledger.listAudit({ limit: 10 }))).not.toContain(secret);
  });

  it('cannot be made for longer than a week or for the reserved tag', async () => {
    await expect(makeToken({ ttlMs: 8 * 86_400_000 })).rejects.toMatchObject({ code: 'BadRequest' });
    await expect(makeToken({ tags: ['local'] })).rejects.toMatchObject({ code: 'TagNotPermitted' });
  });
});

describe('joining', () => {
  it('makes the Runner with the tags of the token', async () => {
    await join(await makeToken({ tags: ['linux', 'dmz'] }), { tags: ['dmz'] });
    const runner = await fixture.kube.kube.get(runners, { namespace: 'team-a', name: 'edge-1' });
    expect(runner).toMatchObject({ kind: 'Runner', spec: { tags: ['linux', 'dmz'] } });
  });

  it('leaves the spec of an existing Runner alone and takes its tags', async () => {
    fixture.kube.put(runners, 'team-a', { metadata: { name: 'edge-1' }, spec: { tags: ['prod'] } });
    expect((await join(await makeToken())).tags).toEqual(['prod']);
    await expect(join(await makeToken(), { tags: ['prod', 'sap'] })).rejects.toMatchObject({
      code: 'TagNotPermitted',
      message: 'Runner edge-1 asks for the tag sap, which it is not permitted to have. Permitted: prod.',
      details: { tag: 'sap', permitted: ['prod'] },
    });
  });

  it('with a token narrower than the existing Runner stays narrower', async () => {
    fixture.kube.put(runners, 'team-a', { metadata: { name: 'edge-1' }, spec: { tags: ['prod', 'dmz'] } });
    const answer = await join(await makeToken({ tags: ['dmz'] }));
    expect(answer.tags).toEqual(['dmz']);
    const record = await fixture.ledger.readRunnerIdentity(answer.clientId);
    expect(record).toMatchObject({ requestedTags: ['dmz'], permittedTags: ['dmz'] });
  });

  it('with a tag beyond the token makes no Runner', async () => {
    await expect(join(await makeToken({ tags: ['linux'] }), { tags: ['prod'] })).rejects.toMatchObject({
      code: 'TagNotPermitted',
    });
    expect(await fixture.kube.kube.get(runners, { namespace: 'team-a', name: 'edge-1' })).toBeUndefined();
  });

  it('never gives the reserved tag to a machine outside the installation', async () => {
    await expect(join(await makeToken(), { tags: ['local'] })).rejects.toMatchObject({
      code: 'TagNotPermitted',
      message:
        'Runner edge-1 asks for the tag local, which is kept for the runner of the Outrider installation itself.',
    });
  });

  it('under a name that is taken adds a replica, but never beside the local runner', async () => {
    await join(await makeToken());
    await expect(join(await makeToken())).resolves.toMatchObject({ name: 'edge-1' });
    await expect(join(await makeToken({ local: true }))).rejects.toMatchObject({
      code: 'RunnerNameTaken',
      message: 'The name edge-1 in team-a belongs to a runner outside the Outrider installation.',
    });
  });

  it('as a revoked runner is refused, whatever the token', async () => {
    const key = await makeKey();
    await join(await makeToken(), { key });
    await fixture.ledger.revokeRunnerIdentity({ clientId: key.thumbprint, now: now() });
    await expect(join(await makeToken(), { key })).rejects.toMatchObject({ code: 'RunnerRevoked' });
    fixture.kube.put(runners, 'team-a', { metadata: { name: 'edge-9' }, spec: { revoked: true } });
    await expect(join(await makeToken(), { name: 'edge-9' })).rejects.toMatchObject({
      code: 'RunnerRevoked',
      message: 'Runner team-a/edge-9 was revoked; its key is refused.',
    });
  });

  it('with one key under two names is refused', async () => {
    const key = await makeKey();
    await join(await makeToken(), { key });
    await expect(join(await makeToken(), { key, name: 'edge-2' })).rejects.toMatchObject({
      code: 'Conflict',
      message: 'This key is registered as runner team-a/edge-1 and cannot become team-a/edge-2 too.',
    });
  });
});
