import { expect, test } from 'vitest';
import { decideLogin } from './decide.ts';

const created = Date.parse('2026-11-22T12:00:00Z');
const key = Buffer.alloc(32, 7).toString('base64url');
const login = (publicKey: string) => ({
  metadata: {
    name: 'ann-1',
    namespace: 'outrider-system',
    uid: 'uid',
    resourceVersion: '1',
    generation: 1,
    creationTimestamp: '2026-11-22T12:00:00Z',
  },
  spec: { username: 'ann', publicKey },
});

test('a login is kept for its hour', () => {
  expect(decideLogin(login(key), created + 1000)).toEqual({ action: 'Keep', forMs: 3_599_000 });
});

test('a login is deleted when its hour is over', () => {
  expect(decideLogin(login(key), created + 3_600_000)).toEqual({ action: 'Delete', why: 'Expired' });
});

test('a login whose key is none is deleted at once', () => {
  const notCanonical = `${key.slice(0, -1)}d`;
  expect(decideLogin(login(notCanonical), created)).toEqual({ action: 'Delete', why: 'InvalidKey' });
});
