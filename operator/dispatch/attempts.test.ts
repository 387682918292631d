import { describe, expect, test } from 'vitest';
import { aNewRun } from '../testing/builders.ts';
import { addRunner, bench, connect, graceMs, running, stateOf, useBench } from './test-bench.ts';

useBench();

describe('a running attempt', () => {
  test('becomes Unknown when its runner does not list it twice, and Lost after the grace, never Ready', async () => {
    const { runner } = await running();
    const cut = AbortSignal.abort();
    await runner.poll([], cut);
    expect(await stateOf('t1')).toBe('Running');
    await runner.poll([], cut);
    expect(await stateOf('t1')).toBe('Unknown');
    bench.now += graceMs + 1;
    await bench.sweep();
    expect(await stateOf('t1')).toBe('Lost');
  });

  test('becomes Unknown when its lease runs out, and ends truly when the same session reports its result', async () => {
    const { runner, offer } = await running();
    bench.now += 90_001;
    await bench.sweep();
    expect(await stateOf('t1')).toBe('Unknown');
    expect((await runner.result(offer)).reports[0]?.status).toBe('Recorded');
    expect(await stateOf('t1')).toBe('Succeeded');
  });

  test('keeps its lease as long as polls list it', async () => {
    const { runner, offer } = await running();
    for (let i = 0; i < 10; i++) {
      bench.now += 40_000;
      await runner.poll([offer], AbortSignal.abort());
      await bench.sweep();
    }
    expect(await stateOf('t1')).toBe('Running');
  });

  test('goes on under a new session of the same key whose journal lists it', async () => {
    const { identity, offer } = await running();
    const generation = bench.ledger.generation;
    const again = await connect(identity, { inventory: [{ ...offer, generation, state: 'Started' }] });
    expect(again.attempts.map(({ decision }) => decision)).toEqual(['Continue']);
    expect((await again.result(offer)).reports[0]?.status).toBe('Recorded');
    expect(await stateOf('t1')).toBe('Succeeded');
  });

  test('is cancelled by an open poll at once, and told again only with the next news', async () => {
    const { runner, offer } = await running();
    const poll = runner.poll([offer]);
    bench.board.apply((await bench.ledger.requestCancel(aNewRun().uid, bench.now)).tasks);
    expect((await poll).cancels).toEqual([{ ...offer, reason: 'Cancelled' }]);
    const cut = new AbortController();
    const next = runner.poll([offer], cut.signal);
    cut.abort();
    expect((await next).cancels).toEqual([]);
  });

  test('that was given up is to be abandoned by a runner that still holds it', async () => {
    const { runner, offer } = await running();
    bench.now += 90_001;
    await bench.sweep();
    bench.now += graceMs + 1;
    await bench.sweep();
    expect((await runner.poll([offer])).cancels).toEqual([{ ...offer, reason: 'Abandoned' }]);
  });

  test('takes log bytes from its own runner only, after its end too', async () => {
    const { identity, runner, offer } = await running();
    const other = addRunner('other');
    const session = (await connect(other)).session;
    const chunk = { ...offer, offset: 0, bytes: new Uint8Array(0) };
    await runner.result(offer);
    expect((await bench.dispatch.logs(other, session, [chunk])).attempts[0]?.error?.code).toBe(
      'EpochMismatch',
    );
    expect((await bench.dispatch.logs(identity, runner.session, [chunk])).attempts[0]?.error).toBeUndefined();
  });

  test('gets secrets while it is held, and none after its end or for another runner', async () => {
    const { identity, runner, offer } = await running();
    const request = { ...runner.envelope, ...offer, reference: 'vault:x' };
    expect((await bench.dispatch.authorizeSecrets(identity, request)).id).toBe('t1');
    await expect(bench.dispatch.authorizeSecrets(identity, { ...request, epoch: 2 })).rejects.toMatchObject({
      code: 'EpochMismatch',
    });
    await runner.result(offer);
    await expect(bench.dispatch.authorizeSecrets(identity, request)).rejects.toMatchObject({
      code: 'StateMismatch',
    });
  });
});
