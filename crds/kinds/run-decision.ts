import { Closed, Integer, Maybe, OneOf, Text, type Static } from '@outrider/schema';
import { Conditions, IdentifierName, ObjectName, ObservedGeneration, type Resource } from './common.ts';
import { ageColumn, conditionColumn, reasonColumn, type KindDefinition } from './kind.ts';

export const decisions = ['Succeeded', 'Failed', 'Retry', 'Release'] as const;
export type Decision = (typeof decisions)[number];

export const RunDecisionSpec = Closed(
  {
    runRef: Closed(
      {
        name: ObjectName('WorkflowRun of this namespace.'),
        uid: Text({
          description: "The run's metadata.uid, so that the decision cannot meet another run of that name.",
          minLength: 1,
          maxLength: 64,
        }),
      },
      { description: 'The run that is decided on.' },
    ),
    workflow: ObjectName(
      "The run's Workflow, as in its spec.workflowRef.name; permission to decide is that to approve it.",
    ),
    step: IdentifierName("The step's name, as the run's status has it."),
    target: Maybe(ObjectName('Name of the Target, for a step with several.')),
    attempt: Integer({
      description:
        'Number of the attempt that is decided on. Nothing is applied when the step has gone on to another one.',
      minimum: 1,
      maximum: 1_000_000,
      format: 'int32',
    }),
    decision: OneOf(decisions, {
      description:
        'Succeeded: the work was done, the run goes on. Failed: it was not, the step fails. Retry: it is executed again. Release: nothing of the attempt acts on its target any more, others may.',
    }),
    reason: Text({
      description: 'Why, in words: what was found on the target. It is kept in the history of the run.',
      minLength: 1,
      maxLength: 1024,
    }),
    decidedBy: Text({
      description: 'User who decides; must be whoever creates this object.',
      minLength: 1,
      maxLength: 1024,
    }),
  },
  {
    description: 'What is decided, about which attempt, and by whom. It never changes.',
    'x-kubernetes-validations': [
      {
        rule: 'self == oldSelf',
        message: 'a RunDecision cannot be changed; decide again, which creates another one',
        reason: 'FieldValueForbidden',
      },
    ],
  },
);
export type RunDecisionSpec = Static<typeof RunDecisionSpec>;
export const RunDecisionStatus = Closed(
  { observedGeneration: Maybe(ObservedGeneration()), conditions: Maybe(Conditions()) },
  { description: 'Whether the decision was applied, and if not why.' },
);
export type RunDecisionStatus = Static<typeof RunDecisionStatus>;
export type RunDecision = Resource<RunDecisionSpec, RunDecisionStatus>;

export const runDecisionKind: KindDefinition = {
  kind: 'RunDecision',
  plural: 'rundecisions',
  singular: 'rundecision',
  shortNames: ['rd'],
  description:
    "A person's word on an attempt whose end is not known. `outrider describe` of the run shows what waits for one, and `outrider decide` creates it.",
  spec: RunDecisionSpec,
  status: RunDecisionStatus,
  columns: [
    { name: 'Run', type: 'string', jsonPath: '.spec.runRef.name', description: 'Run.' },
    { name: 'Step', type: 'string', jsonPath: '.spec.step', description: 'Step of the run.' },
    {
      name: 'Target',
      type: 'string',
      jsonPath: '.spec.target',
      description: 'Target, for a step with several.',
      priority: 1,
    },
    { name: 'Attempt', type: 'integer', jsonPath: '.spec.attempt', description: 'Attempt of the step.' },
    { name: 'Decision', type: 'string', jsonPath: '.spec.decision', description: 'What was decided.' },
    { name: 'Decided by', type: 'string', jsonPath: '.spec.decidedBy', description: 'Who decided.' },
    conditionColumn('Applied', 'Whether the decision took effect.'),
    { ...reasonColumn('Applied'), priority: 1 },
    {
      name: 'Why',
      type: 'string',
      jsonPath: '.spec.reason',
      description: "The person's words.",
      priority: 1,
    },
    ageColumn,
  ],
  selectableFields: ['.spec.runRef.name', '.spec.workflow'],
  rules: [],
};
