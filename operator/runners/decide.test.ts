import { describe, expect, test } from 'vitest';
import { ago, aLiveRunner, aRunner, decide, now, seconds } from './fixture.ts';
import type { RunnerFacts } from './decide.ts';

describe('what the status shows', () => {
  test('sums over the replicas that are there, with version and start of the newest', () => {
    const second = aLiveRunner({
      clientId: 'key-2',
      load: 2,
      capacity: 8,
      version: '0.2.0',
      startedAt: '2026-11-22T12:05:00Z',
      tags: ['gpu'],
    });
    const gone = aLiveRunner({
      clientId: 'key-3',
      connected: false,
      closed: true,
      load: 9,
      version: '9.0.0',
    });
    expect(decide({ live: [aLiveRunner(), second, gone] }).status).toMatchObject({
      load: 3,
      capacity: 12,
      version: '0.2.0',
      startTime: '2026-11-22T12:05:00Z',
      tags: ['eu', 'gpu', 'linux'],
      lastHeartbeatTime: '2026-11-22T12:10:00Z',
    });
  });

  test('forgets load and uptime of a runner that is Offline, and keeps version, tags and last contact', () => {
    const before = decide({ live: [aLiveRunner()] }).status;
    const after = decide({ runner: aRunner({ status: before }), live: [] }).status;
    expect(after).toMatchObject({
      phase: 'Offline',
      version: '0.1.0',
      tags: ['eu', 'linux'],
      lastHeartbeatTime: '2026-11-22T12:10:00Z',
    });
    expect(after).not.toHaveProperty('load');
    expect(after).not.toHaveProperty('startTime');
  });

  test('leaves everything as it was while a restarted operator has not heard of the runner', () => {
    const before = decide({ live: [aLiveRunner()] }).status;
    expect(decide({ runner: aRunner({ status: before }), operatorStartedAt: ago(10) })).toMatchObject({
      status: undefined,
      urgent: false,
      event: undefined,
    });
  });
});

describe('when the status is written', () => {
  const before = decide({ live: [aLiveRunner()] }).status;
  const known = aRunner({ status: before });

  test('not at all when nothing has changed', () => {
    expect(decide({ runner: known, live: [aLiveRunner()] }).status).toBeUndefined();
  });

  test('at once, urgently and with an event, when the phase changes', () => {
    const decision = decide({
      runner: known,
      live: [aLiveRunner({ connected: false, lastContact: now, closed: true })],
    });
    expect(decision).toMatchObject({
      urgent: true,
      status: { phase: 'Offline' },
      event: {
        type: 'Normal',
        reason: 'Offline',
        action: 'ObserveRunner',
        note: 'Drained: It stopped gracefully; its last contact was at 2026-11-22T12:10:00Z.',
      },
    });
  });

  test('with a warning when the runner goes silent', () => {
    const later = now + 50 * seconds;
    const decision = decide({ runner: known, now: later, live: [aLiveRunner({ connected: false })] });
    expect(decision.event).toMatchObject({ type: 'Warning', reason: 'Degraded' });
  });

  test('without an event for a runner that has never been there', () => {
    expect(decide({ registered: 0 }).event).toBeUndefined();
  });

  test('load alone 30 s after the last write, and it is looked at again then', () => {
    const later = now + 10 * seconds;
    const busy = [aLiveRunner({ load: 3, lastContact: later })];
    const early = decide({ runner: known, live: busy, now: later });
    expect(early.status).toBeUndefined();
    expect(early.recheckMs).toBe(20 * seconds);
    const due = now + 30 * seconds;
    expect(
      decide({ runner: known, live: [aLiveRunner({ load: 3, lastContact: due })], now: due }).status,
    ).toMatchObject({ load: 3 });
  });

  test('the time of the last contact alone every 5 minutes', () => {
    const early = now + 299 * seconds;
    expect(
      decide({ runner: known, live: [aLiveRunner({ lastContact: early })], now: early }).status,
    ).toBeUndefined();
    const due = now + 300 * seconds;
    const decision = decide({ runner: known, live: [aLiveRunner({ lastContact: due })], now: due });
    expect(decision.status?.lastHeartbeatTime).toBe('2026-11-22T12:15:00Z');
    expect(decision.urgent).toBe(false);
  });
});

describe('when it is looked at again', () => {
  const silent = (since: number) => [aLiveRunner({ connected: false, lastContact: ago(since) })];
  const table: readonly [string, Partial<RunnerFacts>, number][] = [
    ['just after 45 s of silence', { live: silent(40) }, 5001],
    ['just after 120 s of silence', { live: silent(100) }, 20_001],
    ['when the first 120 s of the operator are over', { operatorStartedAt: ago(100) }, 20_001],
    [
      'when the silence behind an open poll could count',
      { live: [aLiveRunner({ lastContact: ago(20) })] },
      25_001,
    ],
    ['after 5 minutes otherwise', {}, 300_000],
  ];
  test.each(table)('%s', (_, facts, expected) => {
    expect(decide(facts).recheckMs).toBe(expected);
  });
});
