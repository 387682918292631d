import { Closed, Integer, List, Maybe, OneOf, Opaque, Text, type Static } from '@outrider/schema';
import { refuse } from './cel.ts';
import {
  Conditions,
  Duration,
  Instant,
  ObjectName,
  ObservedGeneration,
  Priority,
  type Resource,
} from './common.ts';
import { ageColumn, reasonColumn, type KindDefinition } from './kind.ts';

const unchanged = (field: string): string =>
  `has(self.${field}) == has(oldSelf.${field}) && (!has(self.${field}) || self.${field} == oldSelf.${field})`;
const immutable = (['workflowRef', 'priority', 'startDeadline', 'requestedBy'] as const).map((field) => ({
  rule: unchanged(field),
  message: `${field} cannot be changed: a run is what was asked for; create another WorkflowRun`,
  fieldPath: `.${field}`,
  reason: 'FieldValueForbidden' as const,
}));

export const WorkflowRunSpec = Closed(
  {
    workflowRef: Closed({ name: ObjectName('Workflow of this namespace.') }, { description: 'What to run.' }),
    parameters: Maybe(
      Opaque({
        description: "Values by parameter name, typed by the workflow's parameters.",
        maxProperties: 50,
      }),
    ),
    desiredState: Maybe(
      OneOf(['Running', 'Paused', 'Cancelled'] as const, {
        description:
          'Running when absent. Paused begins no further step until it is Running again; what runs already goes on. Cancelled ends the run and is final.',
      }),
    ),
    priority: Maybe(Priority("Priority of the run; the workflow's when absent")),
    startDeadline: Maybe(
      Duration(
        'startDeadline',
        'A run that could not start within this time of its creation fails with reason Expired; at most 168h; 24h when absent.',
      ),
    ),
    requestedBy: Maybe(
      Text({
        description: 'User who asked for the run; must be whoever creates this object.',
        minLength: 1,
        maxLength: 1024,
      }),
    ),
  },
  {
    description: 'What to run. Only desiredState may change afterwards.',
    'x-kubernetes-validations': [
      ...immutable,
      refuse({
        when: `has(oldSelf.desiredState) && oldSelf.desiredState == 'Cancelled' && (!has(self.desiredState) || self.desiredState != 'Cancelled')`,
        say: `'a cancelled run stays cancelled; create another WorkflowRun'`,
        at: '.desiredState',
        reason: 'FieldValueForbidden',
      }),
    ],
  },
);
export type WorkflowRunSpec = Static<typeof WorkflowRunSpec>;

export const runPhases = ['Queued', 'Running', 'Paused', 'Succeeded', 'Failed', 'Cancelled'] as const;
export type RunPhase = (typeof runPhases)[number];
export const stepPhases = [
  'Pending',
  'Blocked',
  'Queued',
  'Running',
  'Unknown',
  'Verifying',
  'AwaitingHuman',
  'Succeeded',
  'Failed',
  'TimedOut',
  'Cancelled',
  'Skipped',
  'Lost',
] as const;
export type StepPhase = (typeof stepPhases)[number];

const Count = (description: string) =>
  Integer({ description, minimum: 0, maximum: 1_000_000, format: 'int32' });

export const StepSummary = Closed(
  {
    name: Text({ description: "Step's name.", maxLength: 63 }),
    phase: OneOf(stepPhases, { description: 'Where the step stands.' }),
    reason: Maybe(Text({ description: 'Stable CamelCase word for why.', maxLength: 64 })),
    message: Maybe(Text({ description: 'What happened, and what to do next.', maxLength: 256 })),
    runner: Maybe(Text({ description: 'Runner that executes or executed it.', maxLength: 63 })),
    exitCode: Maybe(
      Integer({
        description: 'Exit code of the process.',
        minimum: -1,
        maximum: 4_294_967_295,
        format: 'int64',
      }),
    ),
    attempts: Maybe(Count('Attempts so far.')),
    unconfirmed: Maybe(
      Count(
        'Attempts of which it could not be checked that nothing of them still runs; absent when there is none.',
      ),
    ),
    targets: Maybe(
      Closed(
        { total: Count('Targets of the step.'), succeeded: Count('Succeeded.'), failed: Count('Failed.') },
        { description: 'Only for a step with several targets.' },
      ),
    ),
  },
  { description: 'Where one step of the run stands.' },
);
export type StepSummary = Static<typeof StepSummary>;

export const WorkflowRunStatus = Closed(
  {
    observedGeneration: Maybe(ObservedGeneration()),
    phase: Maybe(OneOf(runPhases, { description: 'Where the run stands.' })),
    startTime: Maybe(Instant('When the workflow was frozen and the run began.')),
    completionTime: Maybe(Instant('When it reached a final phase.')),
    workflow: Maybe(
      Closed(
        {
          name: Text({ description: 'Name.', maxLength: 253 }),
          uid: Text({ description: 'metadata.uid.', maxLength: 64 }),
          generation: Integer({
            description: 'metadata.generation.',
            minimum: 0,
            maximum: 9_007_199_254_740_991,
            format: 'int64',
          }),
          digest: Text({ description: 'SHA-256 of the frozen spec (RFC 8785 JSON).', maxLength: 71 }),
        },
        { description: 'The workflow as it was frozen when the run started; later edits do not count.' },
      ),
    ),
    conditions: Maybe(Conditions()),
    steps: Maybe(
      List(StepSummary, {
        description: 'At most 50, failed ones first.',
        maxItems: 50,
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
      }),
    ),
    omitted: Maybe(Count('Steps that are not listed.')),
  },
  { description: 'How far the run is. The portal has the whole of it, with logs.' },
);
export type WorkflowRunStatus = Static<typeof WorkflowRunStatus>;
export type WorkflowRun = Resource<WorkflowRunSpec, WorkflowRunStatus>;

export const workflowRunKind: KindDefinition = {
  kind: 'WorkflowRun',
  plural: 'workflowruns',
  singular: 'workflowrun',
  shortNames: ['wfr'],
  description:
    'One execution of a Workflow, which is frozen when the run starts. Deleting a run that has not ended cancels it.',
  spec: WorkflowRunSpec,
  status: WorkflowRunStatus,
  columns: [
    { name: 'Workflow', type: 'string', jsonPath: '.spec.workflowRef.name', description: 'What it runs.' },
    { name: 'Phase', type: 'string', jsonPath: '.status.phase', description: 'Where the run stands.' },
    reasonColumn('Completed'),
    { name: 'Started', type: 'date', jsonPath: '.status.startTime', description: 'Time since it began.' },
    {
      name: 'Completed',
      type: 'date',
      jsonPath: '.status.completionTime',
      description: 'Time since it ended.',
    },
    {
      name: 'Requested by',
      type: 'string',
      jsonPath: '.spec.requestedBy',
      description: 'User who asked for it.',
      priority: 1,
    },
    ageColumn,
  ],
  selectableFields: ['.spec.workflowRef.name', '.status.phase'],
  rules: [],
};
