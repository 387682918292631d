import type { Runner, RunnerStatus } from '@outrider/kinds';
import type { LiveRunner } from '../dispatch/contract.ts';
import { defaultTimes } from '../dispatch/times.ts';
import { decideRunner, type RunnerDecision, type RunnerFacts } from './decide.ts';

export const start = Date.parse('2026-11-22T12:00:00Z');
export const seconds = 1000;
/** Long enough after the operator's start for silence to mean something. */
export const now = start + 600 * seconds;

export const aRunner = (over: { spec?: Runner['spec']; status?: RunnerStatus | undefined } = {}): Runner => ({
  apiVersion: 'outrider.dev/v1alpha1',
  kind: 'Runner',
  metadata: {
    name: 'edge-1',
    namespace: 'payments',
    uid: 'uid-edge-1',
    resourceVersion: '1',
    generation: 3,
    creationTimestamp: '2026-11-22T11:00:00Z',
  },
  spec: over.spec ?? {},
  ...(over.status === undefined ? {} : { status: over.status }),
});

export const aLiveRunner = (over: Partial<LiveRunner> = {}): LiveRunner => ({
  clientId: 'key-1',
  namespace: 'payments',
  name: 'edge-1',
  session: 'session-1',
  lastContact: now,
  connected: true,
  closed: false,
  load: 1,
  capacity: 4,
  version: '0.1.0',
  startedAt: '2026-11-22T11:59:00Z',
  tags: ['linux', 'eu'],
  requestedTags: null,
  degraded: [],
  ...over,
});

export const decide = (over: Partial<RunnerFacts> = {}): RunnerDecision =>
  decideRunner({
    runner: aRunner(),
    live: [],
    registered: 1,
    now,
    operatorStartedAt: start,
    times: defaultTimes,
    ...over,
  });

/** Seconds before now. */
export const ago = (n: number): number => now - n * seconds;
