import { generateKeyPairSync, sign } from 'node:crypto';
import { CompactSign } from 'jose';
import { expect, it } from 'vitest';
import { publicKeyFrom, type PublicKey } from './public-key.ts';
import { verifySignedJson } from './signed-json.ts';

const pair = generateKeyPairSync('ed25519');
const keyOf = (x: string | undefined): PublicKey => {
  const key = publicKeyFrom(x ?? '');
  if (!key) throw new Error('no key');
  return key;
};
const key = keyOf(pair.publicKey.export({ format: 'jwk' }).x);
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const made = (header: object, payload: unknown): string => {
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${sign(null, Buffer.from(input), pair.privateKey).toString('base64url')}`;
};

it('reads what another implementation of JWS has signed with this key', async () => {
  const payload = new TextEncoder().encode('{"sub":"edge-1"}');
  const jws = await new CompactSign(payload).setProtectedHeader({ alg: 'EdDSA' }).sign(pair.privateKey);
  expect(verifySignedJson(jws, key)).toEqual({ sub: 'edge-1' });
});

it('refuses other algorithms, critical members, other keys, changed parts and payloads that are no object', () => {
  const good = made({ alg: 'Ed25519' }, { a: 1 });
  const [head, payload, signature] = good.split('.');
  const stranger = keyOf(generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }).x);
  expect(verifySignedJson(good, key)).toEqual({ a: 1 });
  expect(verifySignedJson(good, stranger)).toBeUndefined();
  const refused = [
    made({ alg: 'none' }, { a: 1 }),
    made({ alg: 'HS256' }, { a: 1 }),
    made({}, { a: 1 }),
    made({ alg: 'EdDSA', crit: ['b64'], b64: false }, { a: 1 }),
    made({ alg: 'EdDSA' }, ['a']),
    made({ alg: 'EdDSA' }, 'text'),
    `${head}.${encode({ a: 2 })}.${signature}`,
    `${encode({ alg: 'EdDSA' })}.${payload}.${signature}`,
    `${head}.${payload}.`,
    `${head}.${payload}`,
    `${good}.x`,
    `${head}.${payload}.${signature}=`,
    '',
  ];
  for (const jws of refused) expect(verifySignedJson(jws, key), jws).toBeUndefined();
});
