import { describe, expect, test } from 'vitest';
import { aTask, addRunner, bench, connect, graceMs, ready, ref, stateOf, useBench } from './test-bench.ts';

useBench();

describe('a waiting poll', () => {
  test('is answered by the commit that makes a task ready', async () => {
    const runner = await connect(addRunner('r1'));
    const poll = runner.poll();
    await ready(aTask('t1'));
    const { offers } = await poll;
    expect(offers.map((offer) => [offer.task, offer.epoch])).toEqual([['t1', 1]]);
    expect(await stateOf('t1')).toBe('Offered');
  });

  test('gets no more offers than the operator itself counts as free', async () => {
    const runner = await connect(addRunner('r1', { limits: { concurrency: 5 } }), { capacity: 2 });
    const poll = runner.poll();
    await ready(aTask('t1'), aTask('t2'), aTask('t3'));
    expect((await poll).offers).toHaveLength(2);
    expect(await stateOf('t3')).toBe('Ready');
  });

  test('gets no more offers than the Runner resource permits at a time', async () => {
    const runner = await connect(addRunner('r1', { limits: { concurrency: 1 } }), { capacity: 2 });
    const poll = runner.poll();
    await ready(aTask('t1'), aTask('t2'));
    expect((await poll).offers).toHaveLength(1);
  });

  test('is answered at once when an attempt that was given up leaves its slot', async () => {
    const runner = await connect(addRunner('r1', { limits: { concurrency: 1 } }));
    const first = runner.poll();
    await ready(aTask('t1'), aTask('t2'));
    const offer = ref((await first).offers[0]);
    await runner.accept(offer);
    await runner.poll([], AbortSignal.abort());
    await runner.poll([], AbortSignal.abort());
    const poll = runner.poll();
    await expect.poll(() => bench.sessions.list()[0]?.connected).toBe(true);
    bench.now += graceMs + 1;
    await bench.sweep();
    expect((await poll).offers.map(({ task }) => task)).toEqual([offer.task === 't1' ? 't2' : 't1']);
  });

  test('of a client that has gone away takes no offer with it', async () => {
    const runner = await connect(addRunner('r1'));
    const gone = new AbortController();
    const lost = runner.poll([], gone.signal);
    gone.abort();
    expect((await lost).offers).toEqual([]);
    const poll = runner.poll();
    await ready(aTask('t1'));
    expect((await poll).offers).toHaveLength(1);
  });

  test('goes to the runner that has all tags, and to no other', async () => {
    const plain = await connect(addRunner('plain', { tags: ['production'] }));
    const both = await connect(addRunner('both', { tags: ['production', 'us-east-1'] }));
    const polls = [plain.poll(), both.poll()];
    await ready(aTask('t1', { tags: ['production', 'us-east-1'] }));
    expect((await polls[1])?.offers).toHaveLength(1);
    expect((await bench.ledger.readTask('t1'))?.runnerName).toBe('both');
  });
});

describe('an offer', () => {
  test('that nobody accepts goes back, and its epoch cannot be accepted any more', async () => {
    const runner = await connect(addRunner('r1'));
    const poll = runner.poll();
    await ready(aTask('t1'));
    const first = ref((await poll).offers[0]);
    bench.now += 10_001;
    await bench.sweep();
    expect(await stateOf('t1')).toBe('Ready');
    const { attempts } = await runner.accept(first);
    expect(attempts[0]?.status).toBe('Refused');
    const second = (await runner.poll()).offers[0];
    expect(second?.epoch).toBe(2);
  });

  test('is accepted once, and a repeated accept gets the same answer', async () => {
    const runner = await connect(addRunner('r1'));
    const poll = runner.poll();
    await ready(aTask('t1'));
    const offer = ref((await poll).offers[0]);
    expect((await runner.accept(offer)).attempts[0]?.status).toBe('Recorded');
    expect((await runner.accept(offer)).attempts[0]?.status).toBe('Duplicate');
  });
});
