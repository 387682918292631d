import { describe, expect, test } from 'vitest';
import { start } from '../testing/builders.ts';
import { aTask, addRunner, bench, connect, live, ready, stateOf, useBench } from './test-bench.ts';

useBench();

describe('a session', () => {
  test('of an older process is refused once a newer one is open', async () => {
    const runner = addRunner('r1');
    const old = await connect(runner);
    await connect(runner);
    await expect(old.poll()).rejects.toMatchObject({ code: 'SessionSuperseded' });
  });

  test('is quarantined when sessions of one key alternate', async () => {
    const runner = addRunner('clone');
    for (let i = 0; i < 12; i++) await connect(runner);
    const changes: string[] = [];
    bench.sessions.onChange((_, name) => changes.push(name));
    await expect(connect(runner)).rejects.toMatchObject({ code: 'SessionQuarantined' });
    expect(changes).toEqual(['clone']);
    expect(bench.sessions.list()[0]?.degraded).toEqual([
      expect.stringMatching(/^one of its keys opened 12 sessions within a minute, /),
    ]);
    bench.now += 60_001;
    expect(bench.sessions.list()[0]?.degraded).toEqual([]);
    await expect(connect(runner)).resolves.toBeDefined();
  });

  test('of a revoked key is cut, its open poll included', async () => {
    const identity = addRunner('r1');
    const runner = await connect(identity);
    const poll = runner.poll();
    const cut = expect(poll).rejects.toMatchObject({ code: 'RunnerRevoked' });
    await expect.poll(() => bench.sessions.list()[0]?.connected).toBe(true);
    bench.dispatch.revoke(identity.clientId);
    await cut;
  });

  test('of a replica that went is forgotten when the next one comes, and the silent ones a day later', async () => {
    const pods = ['key-1', 'key-2', 'key-3', 'key-4'].map((clientId) => ({ ...addRunner('pod'), clientId }));
    const [drained, killed, next, last] = pods;
    if (!drained || !killed || !next || !last) throw new Error('there are four');
    const { envelope } = await connect(drained);
    await connect(killed);
    await bench.dispatch.closeSession(drained, envelope);
    const keys = (): string[] => bench.sessions.get('payments', 'pod').map(({ clientId }) => clientId);
    expect(keys()).toEqual(['key-1', 'key-2']);
    await connect(next);
    expect(keys()).toEqual(['key-2', 'key-3']);
    bench.now += 24 * 3_600_000 + 1;
    await connect(last);
    expect(keys()).toEqual(['key-4']);
  });

  test('with another ledger generation is sent back to open a new one', async () => {
    const runner = addRunner('r1');
    const { session } = await connect(runner);
    const request = {
      session,
      generation: 'other',
      capacity: 1,
      load: 0,
      held: [],
      now: new Date(start).toISOString(),
    };
    await expect(bench.dispatch.poll(runner, request, live)).rejects.toMatchObject({
      code: 'GenerationMismatch',
    });
  });
});

describe('a task that nobody can take', () => {
  test('says which tags it needs and what the closest runners lack', async () => {
    await connect(addRunner('near', { tags: ['production'] }));
    await connect(addRunner('far', { suspend: true }));
    await ready(aTask('t1', { tags: ['production', 'us-east-1'] }));
    const task = bench.board.get('t1');
    if (!task) throw new Error('t1 is not on the board');
    expect(bench.explain(task)).toEqual({
      reason: 'NoRunner',
      message:
        'Needs a runner of namespace payments with the tags production, us-east-1 (node ssh-exec). No online runner qualifies. ' +
        'Closest: near: it lacks the tag us-east-1; far: it lacks the tags production, us-east-1 and it is suspended. ' +
        'Change that or start a runner that qualifies; the step then starts by itself.',
    });
  });

  test('tells a machine that does not permit local-exec from a Runner resource that does not', async () => {
    const allow = { nodes: ['local-exec'] };
    await connect(addRunner('machine', { allow }), { nodes: ['ssh-exec'] });
    await connect(addRunner('resource'), { nodes: ['ssh-exec', 'local-exec'] });
    const spec = { ...aTask('t1').spec, node: 'local-exec' };
    await ready(aTask('t1', { spec }));
    const task = bench.board.get('t1');
    if (!task) throw new Error('t1 is not on the board');
    const { message } = bench.explain(task);
    expect(message).toContain("machine: its machine's own configuration does not permit local-exec");
    expect(message).toContain('resource: its spec.allow.nodes does not permit local-exec');
  });

  test('waits for a slot of a runner that is there, and is told of one that is not', async () => {
    const runner = addRunner('r1');
    const { envelope } = await connect(runner);
    await ready(aTask('t1'));
    const task = bench.board.get('t1');
    if (!task) throw new Error('t1 is not on the board');
    const busy = { reason: 'RunnersBusy', message: 'Waits for a free slot on r1.' };
    const away = {
      reason: 'NoRunner',
      message:
        'Needs a runner of namespace payments (node ssh-exec). None that qualifies is online: ' +
        'r1 would, but has stopped or is not heard of. Start it again; the step then starts by itself.',
    };
    expect(bench.explain(task)).toEqual(busy);
    bench.now += 45_001;
    expect(bench.explain(task)).toEqual(away);
    bench.now -= 45_001;
    await bench.dispatch.closeSession(runner, envelope);
    expect(bench.explain(task)).toEqual(away);
  });

  test('is offered as soon as the Runner resource permits it', async () => {
    const runner = await connect(addRunner('r1'));
    const poll = runner.poll();
    await ready(aTask('t1', { tags: ['production'] }));
    expect(await stateOf('t1')).toBe('Ready');
    addRunner('r1', { tags: ['production'] });
    await poll;
    expect((await runner.poll()).offers).toHaveLength(1);
  });
});
