import { Closed, Flag, List, Maybe, OneOf, Text, type Static } from '@outrider/schema';
import { Conditions, IdentifierName, ObservedGeneration, Priority, type Resource } from './common.ts';
import { ageColumn, conditionColumn, reasonColumn, type KindDefinition } from './kind.ts';
import { parameterListRules, parameterRules } from './parameter-rules.ts';
import { stepListRules } from './step-rules.ts';
import { RunnerSelector, Step } from './step.ts';

export const Parameter = Closed(
  {
    name: IdentifierName('Name; a script sees it as OUTRIDER_PARAM_NAME (upper case, - becomes _).'),
    type: Maybe(
      OneOf(['String', 'Integer', 'Number', 'Boolean'] as const, { description: 'String when absent.' }),
    ),
    description: Maybe(Text({ description: 'Shown to whoever starts a run.', maxLength: 1024 })),
    required: Maybe(Flag({ description: 'A run without it fails with InvalidParameters.' })),
    value: Maybe(
      Text({ description: 'Value used when the run gives none, written as text.', maxLength: 4096 }),
    ),
    options: Maybe(
      List(Text({ description: 'A permitted value, written as text.', maxLength: 256 }), {
        description: 'Only these values are accepted.',
        maxItems: 100,
        minItems: 1,
        'x-kubernetes-list-type': 'set',
      }),
    ),
  },
  { description: 'A value that a run may set.', 'x-kubernetes-validations': parameterRules },
);
export type Parameter = Static<typeof Parameter>;

export const WorkflowSpec = Closed(
  {
    description: Maybe(Text({ description: 'What the workflow is for.', maxLength: 4096 })),
    parameters: Maybe(
      List(Parameter, {
        description: 'Values that a run may set.',
        maxItems: 50,
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
        'x-kubernetes-validations': parameterListRules,
      }),
    ),
    runner: Maybe(RunnerSelector),
    priority: Maybe(Priority('Priority of runs that set none of their own')),
    steps: List(Step, {
      description: 'Executed one after the other; a failed step ends the run.',
      minItems: 1,
      maxItems: 100,
      'x-kubernetes-list-type': 'atomic',
      'x-kubernetes-validations': stepListRules,
    }),
  },
  { description: 'What is done, in which order, and on which runners.' },
);
export type WorkflowSpec = Static<typeof WorkflowSpec>;

export const WorkflowStatus = Closed(
  { observedGeneration: Maybe(ObservedGeneration()), conditions: Maybe(Conditions()) },
  { description: 'What the operator found: Ready means that the spec is accepted.' },
);
export type WorkflowStatus = Static<typeof WorkflowStatus>;
export type Workflow = Resource<WorkflowSpec, WorkflowStatus>;

export const workflowKind: KindDefinition = {
  kind: 'Workflow',
  plural: 'workflows',
  singular: 'workflow',
  shortNames: ['wf'],
  description:
    'A runbook: steps that runners execute one after the other. It does nothing by itself; a WorkflowRun runs it.',
  spec: WorkflowSpec,
  status: WorkflowStatus,
  columns: [
    conditionColumn('Ready', 'Whether the spec is accepted.'),
    { ...reasonColumn('Ready'), priority: 1 },
    {
      name: 'Description',
      type: 'string',
      jsonPath: '.spec.description',
      description: 'What it is for.',
      priority: 1,
    },
    ageColumn,
  ],
  selectableFields: [],
  rules: [],
};
