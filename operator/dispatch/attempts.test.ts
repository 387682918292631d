import { describe, expect, test } from 'vitest';
import { aNewRun } from '../testing/builders.ts';
import { aTask, addRunner, bench, connect, graceMs, running, stateOf, useBench } from './test-bench.ts';

useBench();

describe('a running attempt', () => {
  test('counts in the load of its runner from its acceptance to its result, without waiting for a poll', async () => {
    const { runner, offer } = await running();
    expect(bench.sessions.list().map(({ load }) => load)).toEqual([1]);
    await runner.result(offer);
    expect(bench.sessions.list().map(({ load }) => load)).toEqual([0]);
  });

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

  test('that became Unknown while its runner was cut off is Running again once a poll of the same session lists it', async () => {
    const { runner, offer } = await running();
    bench.now += 90_001;
    await bench.sweep();
    await runner.poll([offer], AbortSignal.abort());
    expect(await stateOf('t1')).toBe('Running');
    bench.now += graceMs + 1;
    await runner.poll([offer], AbortSignal.abort());
    await bench.sweep();
    expect(await stateOf('t1')).toBe('Running');
    expect((await runner.result(offer)).reports[0]?.status).toBe('Recorded');
  });

  test('goes on under a new session of the same key whose journal lists it', async () => {
    const { identity, offer } = await running();
    const generation = bench.ledger.generation;
    const again = await connect(identity, { inventory: [{ ...offer, generation, state: 'Started' }] });
    expect(again.attempts.map(({ decision }) => decision)).toEqual(['Continue']);
    expect((await again.result(offer)).reports[0]?.status).toBe('Recorded');
    expect(await stateOf('t1')).toBe('Succeeded');
  });

  test('keeps the cancellation that was asked for while a new session of its runner opens', async () => {
    const { identity, offer } = await running();
    const generation = bench.ledger.generation;
    // The ledger commits it right after the session, and both are answered in this order.
    const openSession = bench.ledger.openSession.bind(bench.ledger);
    let cancelled: Promise<void> | undefined;
    bench.ledger.openSession = (command) => {
      const opened = openSession(command);
      cancelled = bench.ledger
        .requestCancel(aNewRun().uid, bench.now)
        .then(({ tasks }) => bench.board.apply(tasks));
      return opened;
    };
    const again = await connect(identity, { inventory: [{ ...offer, generation, state: 'Started' }] });
    await cancelled;
    expect(bench.board.get('t1')?.cancelRequested).toBe(true);
    expect((await again.poll([offer])).cancels).toEqual([{ ...offer, reason: 'Cancelled' }]);
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

  test('that was cancelled while its runner was cut off is told so as soon as it is heard of again', async () => {
    const { runner, offer } = await running();
    bench.now += 90_001;
    await bench.sweep();
    expect(await stateOf('t1')).toBe('Unknown');
    bench.board.apply((await bench.ledger.requestCancel(aNewRun().uid, bench.now)).tasks);
    expect((await runner.poll([offer])).cancels).toEqual([{ ...offer, reason: 'Cancelled' }]);
  });

  test('whose fate a person is asked for may still tell it itself', async () => {
    const { spec } = aTask('t1');
    const { runner, offer } = await running('r1', { spec: { ...spec, onLost: 'Ask' } });
    bench.now += 90_001;
    await bench.sweep();
    bench.now += graceMs + 1;
    await bench.sweep();
    expect(await stateOf('t1')).toBe('AwaitingHuman');
    expect((await runner.poll([offer], AbortSignal.abort())).cancels).toEqual([]);
    expect((await runner.result(offer)).reports[0]?.status).toBe('Recorded');
    expect(await stateOf('t1')).toBe('Succeeded');
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

  test('keeps the result that a runner sent under a session which its own newer one had just replaced', async () => {
    const { identity, runner, offer } = await running();
    const { generation } = bench.ledger;
    const recordReports = bench.ledger.recordReports.bind(bench.ledger);
    const inventory = [{ ...offer, generation, state: 'Started' as const }];
    bench.ledger.recordReports = async (command) => {
      bench.ledger.recordReports = recordReports;
      await bench.ledger.openSession({
        by: { ...command.by, session: 'newer' },
        inventory,
        now: bench.now,
        leaseExpiresAt: bench.now + 90_000,
      });
      return recordReports(command);
    };
    await expect(runner.result(offer)).rejects.toMatchObject({ code: 'SessionSuperseded' });
    const again = await connect(identity, { inventory });
    expect((await again.result(offer)).reports[0]?.status).toBe('Recorded');
  });

  test('has its log ended by a repeated result, when the operator had no time for it after the first', async () => {
    const { runner, offer } = await running();
    const seal = bench.logs.seal.bind(bench.logs);
    bench.logs.seal = () => Promise.reject(new Error('the operator ends here'));
    await expect(runner.result(offer)).rejects.toThrow('the operator ends here');
    bench.logs.seal = seal;
    expect((await runner.result(offer)).reports[0]?.status).toBe('Duplicate');
    expect((await bench.logs.state(offer)).end).toBe('Complete');
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
