import { expect, it } from 'vitest';
import { protocolVersion } from '@outrider/protocol';
import { Candidates } from './candidates.ts';
import { newSession, type Session } from './session.ts';

const poll = { wake: () => {}, drop: () => {}, fail: () => {} };
const aSession = (name: string, open = true): Session => {
  const session = newSession(
    { clientId: name, namespace: 'payments', name, local: false },
    {
      protocolVersion,
      version: '0.1.0',
      startedAt: '2026-11-22T12:00:00Z',
      capacity: 4,
      nodes: ['ssh-exec'],
    },
    {
      session: `s-${name}`,
      now: 0,
      limits: [],
      capability: {
        namespace: 'payments',
        local: false,
        tags: new Set(),
        nodes: new Set(['ssh-exec']),
        machineNodes: new Set(['ssh-exec']),
        suspended: false,
        concurrency: 4,
      },
    },
  );
  if (open) session.poll = poll;
  return session;
};

it('takes the one with the most free slots among the first few with an open poll, and looks at no more', () => {
  const sessions = Array.from({ length: 1000 }, (_, i) => aSession(`r${i}`, i !== 0));
  let looked = 0;
  const free = new Map(sessions.map((session, i) => [session, i < 5 ? i : 4]));
  const candidates = new Candidates(sessions, (session) => {
    looked += 1;
    return free.get(session) ?? 0;
  });
  expect(candidates.leastLoaded()?.runner.name).toBe('r4');
  expect(looked).toBeLessThan(20);
});

it('goes on to others when the first have no slot left, and ends when nobody has', () => {
  const sessions = Array.from({ length: 20 }, (_, i) => aSession(`r${i}`));
  const free = new Map(sessions.map((session) => [session, 1]));
  const candidates = new Candidates(sessions, (session) => free.get(session) ?? 0);
  const given: (string | undefined)[] = [];
  for (let i = 0; i < 20; i++) {
    const session = candidates.leastLoaded();
    if (session) free.set(session, 0);
    given.push(session?.runner.name);
  }
  expect(new Set(given).size).toBe(20);
  expect(candidates.leastLoaded()).toBeUndefined();
});
