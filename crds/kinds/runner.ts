import { Closed, Flag, Integer, List, Maybe, OneOf, Text, type Static } from '@outrider/schema';
import { literals, refuse } from './cel.ts';
import { Conditions, Instant, ObservedGeneration, Tags, type Resource } from './common.ts';
import { ageColumn, conditionColumn, type KindDefinition } from './kind.ts';
import { nodeNames } from './step-rules.ts';

const NodeName = Text({
  description: `A node type: ${nodeNames.join(', ')}.`,
  minLength: 1,
  maxLength: 63,
  'x-kubernetes-validations': [
    refuse({
      when: `!(self in ${literals(nodeNames)})`,
      say: `'unknown node "' + self + '"; use one of ${nodeNames.join(', ')}'`,
    }),
  ],
});

export const RunnerSpec = Closed(
  {
    tags: Maybe(Tags('Work is routed here when all tags that it asks for are among these.')),
    allow: Maybe(
      Closed(
        {
          nodes: Maybe(
            List(NodeName, {
              description: 'Node types that may run here; every one except local-exec when absent.',
              maxItems: 100,
              'x-kubernetes-list-type': 'set',
            }),
          ),
        },
        { description: "What this runner may do. The machine's own configuration may narrow it further." },
      ),
    ),
    limits: Maybe(
      Closed(
        {
          concurrency: Maybe(
            Integer({
              description: "Attempts at a time; the runner's own capacity when absent.",
              minimum: 1,
              maximum: 1000,
              format: 'int32',
            }),
          ),
        },
        { description: 'Bounds on what it takes at a time.' },
      ),
    ),
    suspend: Maybe(Flag({ description: 'Finishes what it has and is offered nothing new.' })),
    revoked: Maybe(
      Flag({
        description:
          'Its key is refused from now on, and an open connection is cut. Final: register again under another name.',
      }),
    ),
  },
  {
    description: 'What the runner may do. It registers itself; what is written here before that wins.',
    'x-kubernetes-validations': [
      {
        rule: '!(has(oldSelf.revoked) && oldSelf.revoked) || (has(self.revoked) && self.revoked)',
        message: 'a revoked runner stays revoked; register it again under another name',
        fieldPath: '.revoked',
        reason: 'FieldValueForbidden',
      },
    ],
  },
);
export type RunnerSpec = Static<typeof RunnerSpec>;

export const runnerPhases = ['Online', 'Degraded', 'Offline'] as const;
export type RunnerPhase = (typeof runnerPhases)[number];
const Count = (description: string) =>
  Integer({ description, minimum: 0, maximum: 100_000, format: 'int32' });

export const RunnerStatus = Closed(
  {
    observedGeneration: Maybe(ObservedGeneration()),
    conditions: Maybe(Conditions()),
    phase: Maybe(OneOf(runnerPhases, { description: 'Whether it can be reached.' })),
    lastHeartbeatTime: Maybe(
      Instant('Last contact, written on change and every few minutes; the portal has the exact time.'),
    ),
    load: Maybe(Count('Attempts that it holds.')),
    capacity: Maybe(Count('Attempts that it takes at a time.')),
    version: Maybe(Text({ description: 'Software version.', maxLength: 64 })),
    startTime: Maybe(Instant('When its process started: uptime is counted from it.')),
    tags: Maybe(
      Tags('Tags in effect: permitted by the spec, and asked for by the runner if it narrows them.'),
    ),
  },
  {
    description:
      'What is known of the running program. Ready means that the spec is accepted, Online that it can be reached.',
  },
);
export type RunnerStatus = Static<typeof RunnerStatus>;
export type Runner = Resource<RunnerSpec, RunnerStatus>;

export const runnerKind: KindDefinition = {
  kind: 'Runner',
  plural: 'runners',
  singular: 'runner',
  shortNames: ['rnr'],
  description:
    'A program in some network that dials out to Outrider and executes steps there. `outrider runner token` makes the token it joins with.',
  spec: RunnerSpec,
  status: RunnerStatus,
  columns: [
    { name: 'Status', type: 'string', jsonPath: '.status.phase', description: 'Whether it can be reached.' },
    {
      name: 'Heartbeat',
      type: 'date',
      jsonPath: '.status.lastHeartbeatTime',
      description: 'Time since its last contact.',
    },
    { name: 'Load', type: 'integer', jsonPath: '.status.load', description: 'Attempts that it holds.' },
    {
      name: 'Capacity',
      type: 'integer',
      jsonPath: '.status.capacity',
      description: 'Attempts that it takes at a time.',
    },
    { name: 'Version', type: 'string', jsonPath: '.status.version', description: 'Software version.' },
    {
      name: 'Uptime',
      type: 'date',
      jsonPath: '.status.startTime',
      description: 'Time since its process started.',
    },
    { name: 'Tags', type: 'string', jsonPath: '.status.tags', description: 'Tags in effect.', priority: 1 },
    { ...conditionColumn('Ready', 'Whether the spec is accepted.'), priority: 1 },
    ageColumn,
  ],
  selectableFields: ['.status.phase'],
  rules: [
    {
      rule: 'self.metadata.name.size() <= 63',
      message: 'the name of a Runner has at most 63 characters; choose a shorter one',
    },
  ],
};
