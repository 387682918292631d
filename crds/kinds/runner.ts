import { Closed, Flag, Integer, List, Maybe, OneOf, Text, type Static } from '@outrider/schema';
import { Conditions, Instant, ObservedGeneration, Tags, type Resource } from './common.ts';

export const RunnerSpec = Closed({
  tags: Maybe(Tags('Work is routed here when all tags that it asks for are among these.')),
  allow: Maybe(
    Closed(
      { nodes: Maybe(List(Text({ maxLength: 63, minLength: 1 }), { description: 'Node types that may run here; every one except local-exec when absent.', maxItems: 100, 'x-kubernetes-list-type': 'set' })) },
      { description: "What this runner may do. The machine's own configuration may narrow it further." },
    ),
  ),
  limits: Maybe(
    Closed(
      { concurrency: Maybe(Integer({ description: "Attempts at a time; the runner's own capacity when absent.", minimum: 1, maximum: 1000, format: 'int32' })) },
      { description: 'Bounds on what it takes at a time.' },
    ),
  ),
  suspend: Maybe(Flag({ description: 'Finishes what it has and is offered nothing new.' })),
  revoked: Maybe(Flag({ description: 'Its key is refused from now on, and an open connection is cut. Final: register again under another name.' })),
});
export type RunnerSpec = Static<typeof RunnerSpec>;

export const runnerPhases = ['Online', 'Degraded', 'Offline'] as const;
export type RunnerPhase = (typeof runnerPhases)[number];
const Count = (description: string) => Integer({ description, minimum: 0, maximum: 100_000, format: 'int32' });

export const RunnerStatus = Closed({
  observedGeneration: Maybe(ObservedGeneration()),
  conditions: Maybe(Conditions()),
  phase: Maybe(OneOf(runnerPhases, { description: 'Whether it can be reached.' })),
  lastHeartbeatTime: Maybe(Instant('Last contact, written on change and every few minutes; the portal has the exact time.')),
  load: Maybe(Count('Attempts that it holds.')),
  capacity: Maybe(Count('Attempts that it takes at a time.')),
  version: Maybe(Text({ description: 'Software version.', maxLength: 64 })),
  startTime: Maybe(Instant('When its process started: uptime is counted from it.')),
  tags: Maybe(Tags('Tags in effect: permitted by the spec, and asked for by the runner if it narrows them.')),
});
export type RunnerStatus = Static<typeof RunnerStatus>;
export type Runner = Resource<RunnerSpec, RunnerStatus>;
