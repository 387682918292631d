import { describe, expect, test } from 'vitest';
import { findCondition } from '../kube/conditions.ts';
import { ago, aLiveRunner, aRunner, decide } from './fixture.ts';
import type { RunnerDecision, RunnerFacts } from './decide.ts';

const online = (
  decision: RunnerDecision,
): { phase: unknown; status: unknown; reason: unknown; message: unknown } => {
  const condition = findCondition(decision.status?.conditions, 'Online');
  return {
    phase: decision.status?.phase,
    status: condition?.status,
    reason: condition?.reason,
    message: condition?.message,
  };
};

describe('whether a runner is online', () => {
  const table: readonly [string, Partial<RunnerFacts>, ReturnType<typeof online>][] = [
    [
      'an open poll makes it Online',
      { live: [aLiveRunner()] },
      { phase: 'Online', status: 'True', reason: 'HeartbeatReceived', message: 'It polls for work.' },
    ],
    [
      'contact 45 s ago without an open poll is still Online',
      { live: [aLiveRunner({ connected: false, lastContact: ago(45) })] },
      { phase: 'Online', status: 'True', reason: 'HeartbeatReceived', message: 'It polls for work.' },
    ],
    [
      'silence for more than 45 s makes it Degraded',
      { live: [aLiveRunner({ connected: false, lastContact: ago(46) })] },
      {
        phase: 'Degraded',
        status: 'Unknown',
        reason: 'HeartbeatMissing',
        message: 'Nothing has been heard of it since 2026-11-22T12:09:14Z, for more than 45 s.',
      },
    ],
    [
      'silence for more than 120 s makes it Offline',
      { live: [aLiveRunner({ connected: false, lastContact: ago(121) })] },
      {
        phase: 'Offline',
        status: 'False',
        reason: 'HeartbeatMissing',
        message:
          'Nothing has been heard of it since 2026-11-22T12:07:59Z, for more than 120 s. Check that its process runs and that it reaches the operator.',
      },
    ],
    [
      'a runner of which nothing was heard since the operator started is Offline after 120 s',
      {},
      {
        phase: 'Offline',
        status: 'False',
        reason: 'HeartbeatMissing',
        message:
          'Nothing has been heard of it since the operator started, more than 120 s ago. Check that its process runs and that it reaches the operator.',
      },
    ],
    [
      'a graceful stop makes it Offline at once',
      { live: [aLiveRunner({ connected: false, closed: true, lastContact: ago(1) })] },
      {
        phase: 'Offline',
        status: 'False',
        reason: 'Drained',
        message: 'It stopped gracefully; its last contact was at 2026-11-22T12:09:59Z.',
      },
    ],
    [
      'a graceful stop counts in the first 120 s of the operator too',
      {
        operatorStartedAt: ago(5),
        live: [aLiveRunner({ connected: false, closed: true, lastContact: ago(1) })],
      },
      {
        phase: 'Offline',
        status: 'False',
        reason: 'Drained',
        message: 'It stopped gracefully; its last contact was at 2026-11-22T12:09:59Z.',
      },
    ],
    [
      'a runner that no machine has joined as says how to join',
      { registered: 0, operatorStartedAt: ago(5) },
      {
        phase: 'Offline',
        status: 'False',
        reason: 'NeverConnected',
        message:
          'No machine has joined as this runner. Make a token with "outrider runner token --namespace payments" and start a runner named edge-1 with it.',
      },
    ],
    [
      'nothing is said of a silent runner in the first 120 s of the operator',
      { operatorStartedAt: ago(120) },
      {
        phase: undefined,
        status: 'Unknown',
        reason: 'OperatorStarting',
        message: 'The operator started less than 120 s ago and has not heard of it yet.',
      },
    ],
    [
      'a clock that is off makes it Degraded',
      { live: [aLiveRunner({ degraded: ["its clock is 42 s off the operator's"] })] },
      {
        phase: 'Degraded',
        status: 'True',
        reason: 'ClockSkew',
        message: "Its clock is 42 s off the operator's.",
      },
    ],
    [
      'copies of one machine make it Degraded',
      { live: [aLiveRunner({ degraded: ['one of its keys opened 12 sessions within a minute'] })] },
      {
        phase: 'Degraded',
        status: 'True',
        reason: 'SessionQuarantined',
        message: 'One of its keys opened 12 sessions within a minute.',
      },
    ],
    [
      'a journal that is nearly full makes it Degraded',
      { live: [aLiveRunner({ degraded: ['the journal is 93 % full'] })] },
      {
        phase: 'Degraded',
        status: 'True',
        reason: 'JournalNearlyFull',
        message: 'The journal is 93 % full.',
      },
    ],
    [
      'any other complaint of its own makes it Degraded',
      { live: [aLiveRunner({ degraded: ['kubectl is missing.'] })] },
      { phase: 'Degraded', status: 'True', reason: 'SelfCheckFailed', message: 'Kubectl is missing.' },
    ],
    [
      'a silent replica makes it Degraded',
      { live: [aLiveRunner(), aLiveRunner({ clientId: 'key-2', connected: false, lastContact: ago(300) })] },
      {
        phase: 'Degraded',
        status: 'True',
        reason: 'ReplicaMissing',
        message:
          '1 of 2 replicas are connected; nothing has been heard of the others since 2026-11-22T12:05:00Z.',
      },
    ],
    [
      'a replica that stopped gracefully is not missed',
      { live: [aLiveRunner(), aLiveRunner({ clientId: 'key-2', connected: false, closed: true })] },
      { phase: 'Online', status: 'True', reason: 'HeartbeatReceived', message: 'It polls for work.' },
    ],
    [
      'a suspended runner is Online and says that it is given nothing',
      { runner: aRunner({ spec: { suspend: true } }), live: [aLiveRunner()] },
      {
        phase: 'Online',
        status: 'True',
        reason: 'HeartbeatReceived',
        message: 'It polls for work, and is given none while spec.suspend is true.',
      },
    ],
    [
      'a revoked runner is Offline though it still polls',
      { runner: aRunner({ spec: { revoked: true } }), live: [aLiveRunner()] },
      {
        phase: 'Offline',
        status: 'False',
        reason: 'Revoked',
        message: 'Its keys are refused. Join the machine again under another name.',
      },
    ],
  ];
  test.each(table)('%s', (_, facts, expected) => {
    expect(online(decide(facts))).toEqual(expected);
  });

  test('the spec is accepted whatever the runner does', () => {
    expect(findCondition(decide().status?.conditions, 'Ready')).toEqual({
      type: 'Ready',
      status: 'True',
      reason: 'Accepted',
      message: 'The spec is accepted.',
      lastTransitionTime: '2026-11-22T12:10:00Z',
      observedGeneration: 3,
    });
  });
});
