import { Closed, Flag, Integer, List, Maybe, OneOf, StringMap, Text, type Static } from '@outrider/schema';
import { refuse } from './cel.ts';
import {
  Conditions,
  CredentialReference,
  DurationText,
  Environment,
  HostKey,
  HostName,
  IdentifierName,
  NamespaceName,
  ObjectName,
  ObservedGeneration,
  RequiredTags,
  Word,
  type Resource,
} from './common.ts';
import { ageColumn, conditionColumn, reasonColumn, type KindDefinition } from './kind.ts';
import { parameterListRules, parameterRules } from './parameter-rules.ts';
import { nodeNames, stepListRules, stepRules } from './step-rules.ts';

export const RunnerSelector = Closed(
  {
    tags: Maybe(RequiredTags('Tags that the runner must have, all of them.')),
    local: Maybe(
      Flag({ description: 'Run on the runner that belongs to the Outrider installation itself.' }),
    ),
  },
  {
    description: 'Which runner may take the work; any one that reaches the target when absent.',
    'x-kubernetes-validations': [
      {
        rule: '!(has(self.local) && self.local && has(self.tags) && self.tags.size() > 0)',
        message: 'set either local: true or tags, not both',
        reason: 'FieldValueForbidden',
      },
    ],
  },
);
export type RunnerSelector = Static<typeof RunnerSelector>;

export const StepTarget = Closed(
  {
    name: Maybe(ObjectName('A Target resource of this namespace. Excludes every other field.')),
    host: Maybe(HostName('Host name or address of an SSH server.')),
    port: Maybe(
      Integer({ description: 'TCP port; 22 when absent.', minimum: 1, maximum: 65_535, format: 'int32' }),
    ),
    user: Maybe(Word("SSH user; the credential's username when absent.", 253)),
    hostKey: Maybe(
      HostKey(
        "Pinned SSH host key: a SHA256:… fingerprint, or known_hosts lines; that of a Target with the same host and port, else the runner's known_hosts, when absent.",
      ),
    ),
    context: Maybe(
      Word(
        "Kubeconfig context of a Kubernetes target: of the credential, of a Target of that name, or of the runner's own kubeconfig if its configuration lists it.",
        253,
      ),
    ),
    namespace: Maybe(NamespaceName('Kubernetes namespace that kubectl acts in.')),
    credential: Maybe(
      CredentialReference(
        'STORE:NAME of the credential, such as vault:prod-server-ssh-key or secret:prod-server.',
      ),
    ),
  },
  {
    description: 'Where the step acts: one Target by name, or written out here.',
    'x-kubernetes-validations': [
      refuse({
        when: 'has(self.name) && (has(self.host) || has(self.port) || has(self.user) || has(self.hostKey) || has(self.context) || has(self.__namespace__) || has(self.credential))',
        say: `'target.name "' + self.name + '" excludes every other field of target; keep the name, or write the target out without one'`,
        reason: 'FieldValueForbidden',
      }),
      {
        rule: 'has(self.name) || has(self.host) || has(self.port) || has(self.user) || has(self.hostKey) || has(self.context) || has(self.__namespace__) || has(self.credential)',
        message: 'target is empty; give the name of a Target, or host, or context and namespace',
        reason: 'FieldValueRequired',
      },
    ],
  },
);
export type StepTarget = Static<typeof StepTarget>;

export const TargetSelector = Closed(
  {
    names: Maybe(
      List(ObjectName('Name of a Target.'), {
        description: 'Target resources by name.',
        minItems: 1,
        maxItems: 1000,
        'x-kubernetes-list-type': 'set',
      }),
    ),
    matchLabels: Maybe(
      StringMap({ description: 'Targets that carry all of these labels.', maxProperties: 16, maxLength: 63 }),
    ),
  },
  {
    description: 'Several Target resources; the step runs once for each.',
    'x-kubernetes-validations': [
      {
        rule: 'has(self.names) != has(self.matchLabels)',
        message: 'set exactly one of names and matchLabels',
      },
      {
        rule: '!has(self.matchLabels) || self.matchLabels.size() > 0',
        message: 'matchLabels is empty and would select every Target; write at least one label',
        fieldPath: '.matchLabels',
      },
    ],
  },
);
export type TargetSelector = Static<typeof TargetSelector>;

export const Step = Closed(
  {
    name: Maybe(IdentifierName('Unique within the workflow; step-N when absent.')),
    node: Text({
      description: `Node type that executes the step: ${nodeNames.join(', ')}.`,
      minLength: 1,
      maxLength: 63,
    }),
    target: Maybe(StepTarget),
    targets: Maybe(TargetSelector),
    credential: Maybe(CredentialReference('STORE:NAME; stands here or in the inline target.')),
    runner: Maybe(RunnerSelector),
    env: Maybe(
      Environment('Environment of the script, by name. Names that start with OUTRIDER_ are set by Outrider.'),
    ),
    timeout: Maybe(
      DurationText(
        'Longest time that one attempt may take, such as 5m or 1h30m, at most 168h; 1h when absent.',
      ),
    ),
    script: Maybe(
      Text({
        description:
          'Script text, at most 64 KiB, given to the interpreter as a file. Never templated: values reach it as environment.',
        minLength: 1,
        maxLength: 65_536,
      }),
    ),
    command: Maybe(
      Text({
        description: 'For kubectl-exec: one kubectl call a line, no shell. Never templated.',
        minLength: 1,
        maxLength: 65_536,
      }),
    ),
    interpreter: Maybe(
      Text({
        description:
          'Program that runs the script, with its arguments: split at white space, no quoting. /bin/sh when absent.',
        minLength: 1,
        maxLength: 256,
      }),
    ),
    workdir: Maybe(Text({ description: 'Working folder of the script.', minLength: 1, maxLength: 4096 })),
  },
  { description: 'One unit of work, by one node type.', 'x-kubernetes-validations': stepRules },
);
export type Step = Static<typeof Step>;

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
