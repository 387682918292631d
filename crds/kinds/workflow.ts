import { Closed, Flag, Integer, List, Maybe, OneOf, StringMap, Text, type Static } from '@outrider/schema';
import {
  Conditions,
  CredentialReference,
  Duration,
  Environment,
  IdentifierName,
  ObjectName,
  ObservedGeneration,
  Tags,
  type Resource,
} from './common.ts';

export const RunnerSelector = Closed(
  {
    tags: Maybe(Tags('Tags that the runner must have, all of them.')),
    local: Maybe(Flag({ description: 'Run on the runner that belongs to the Outrider installation itself.' })),
  },
  { description: 'Which runner may take the work.' },
);
export type RunnerSelector = Static<typeof RunnerSelector>;

export const StepTarget = Closed(
  {
    name: Maybe(ObjectName('A Target resource of this namespace. Excludes every other field.')),
    host: Maybe(Text({ description: 'Host name or address of an SSH server.', minLength: 1, maxLength: 253 })),
    port: Maybe(Integer({ description: 'TCP port; 22 when absent.', minimum: 1, maximum: 65_535, format: 'int32' })),
    user: Maybe(Text({ description: "SSH user; the credential's username when absent.", minLength: 1, maxLength: 253 })),
    hostKey: Maybe(
      Text({ description: 'Pinned SSH host key: a SHA256:… fingerprint, or known_hosts lines.', minLength: 1, maxLength: 16_384 }),
    ),
    context: Maybe(Text({ description: 'Kubeconfig context of a Kubernetes target.', minLength: 1, maxLength: 253 })),
    namespace: Maybe(Text({ description: 'Kubernetes namespace that kubectl acts in.', minLength: 1, maxLength: 63 })),
    credential: Maybe(CredentialReference('STORE:NAME of the credential, such as vault:prod-server-ssh-key or secret:prod-server.')),
  },
  { description: 'Where the step acts: one Target by name, or written out here.' },
);
export type StepTarget = Static<typeof StepTarget>;

export const TargetSelector = Closed(
  {
    names: Maybe(List(Text({ maxLength: 253, minLength: 1 }), { description: 'Target resources by name.', maxItems: 1000, 'x-kubernetes-list-type': 'set' })),
    matchLabels: Maybe(StringMap({ description: 'Targets that carry all of these labels.', maxProperties: 16, maxLength: 63 })),
  },
  { description: 'Several Target resources; the step runs once for each.' },
);
export type TargetSelector = Static<typeof TargetSelector>;

export const Step = Closed(
  {
    name: Maybe(IdentifierName('Unique within the workflow; step-N when absent.')),
    node: Text({ description: 'Node type that executes the step.', maxLength: 63 }),
    target: Maybe(StepTarget),
    targets: Maybe(TargetSelector),
    credential: Maybe(CredentialReference('STORE:NAME; stands here or in the inline target.')),
    runner: Maybe(RunnerSelector),
    env: Maybe(Environment('Environment of the script, by name.')),
    timeout: Maybe(Duration('Longest time that one attempt may take, such as 5m; 1h when absent.')),
    script: Maybe(Text({ description: 'Script text, given to the interpreter as a file. Never templated.', minLength: 1, maxLength: 65_536 })),
    command: Maybe(Text({ description: 'For kubectl-exec: one kubectl call a line, no shell. Never templated.', minLength: 1, maxLength: 65_536 })),
    interpreter: Maybe(Text({ description: 'Program that runs the script; /bin/sh when absent.', minLength: 1, maxLength: 256 })),
    workdir: Maybe(Text({ description: 'Working folder of the script.', minLength: 1, maxLength: 4096 })),
  },
  { description: 'One unit of work, by one node type.' },
);
export type Step = Static<typeof Step>;

export const Parameter = Closed({
  name: IdentifierName('Name; a script sees it as OUTRIDER_PARAM_NAME (upper case, - becomes _).'),
  type: Maybe(OneOf(['String', 'Integer', 'Number', 'Boolean'] as const, { description: 'String when absent.' })),
  description: Maybe(Text({ description: 'Shown to whoever starts a run.', maxLength: 1024 })),
  required: Maybe(Flag({ description: 'A run without it fails with InvalidParameters.' })),
  value: Maybe(Text({ description: 'Value used when the run gives none, written as text.', maxLength: 4096 })),
  options: Maybe(List(Text({ maxLength: 256 }), { description: 'Only these values are accepted.', maxItems: 100, 'x-kubernetes-list-type': 'set' })),
});
export type Parameter = Static<typeof Parameter>;

export const WorkflowSpec = Closed({
  description: Maybe(Text({ description: 'What the workflow is for.', maxLength: 4096 })),
  parameters: Maybe(List(Parameter, { description: 'Values that a run may set.', maxItems: 50, 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] })),
  runner: Maybe(RunnerSelector),
  steps: List(Step, { description: 'Executed one after the other; a failed step ends the run.', minItems: 1, maxItems: 100, 'x-kubernetes-list-type': 'atomic' }),
});
export type WorkflowSpec = Static<typeof WorkflowSpec>;

export const WorkflowStatus = Closed({
  observedGeneration: Maybe(ObservedGeneration()),
  conditions: Maybe(Conditions()),
});
export type WorkflowStatus = Static<typeof WorkflowStatus>;
export type Workflow = Resource<WorkflowSpec, WorkflowStatus>;
