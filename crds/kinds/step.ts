import { Closed, Flag, Integer, List, Maybe, OneOf, StringMap, Text, type Static } from '@outrider/schema';
import { refuse } from './cel.ts';
import {
  CredentialReference,
  DurationText,
  Environment,
  HostKey,
  HostName,
  IdentifierName,
  NamespaceName,
  ObjectName,
  RequiredTags,
  Word,
} from './common.ts';
import { hostKeyPolicies, hostKeyPolicyText } from './host-key-policy.ts';
import { onLostPolicies } from './lost-work-rules.ts';
import { nodeNames, stepRules } from './step-rules.ts';

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
    hostKeyPolicy: Maybe(OneOf(hostKeyPolicies, { description: hostKeyPolicyText })),
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
        when: 'has(self.name) && (has(self.host) || has(self.port) || has(self.user) || has(self.hostKey) || has(self.hostKeyPolicy) || has(self.context) || has(self.__namespace__) || has(self.credential))',
        say: `'target.name "' + self.name + '" excludes every other field of target; keep the name, or write the target out without one'`,
        reason: 'FieldValueForbidden',
      }),
      {
        rule: 'has(self.name) || has(self.host) || has(self.port) || has(self.user) || has(self.hostKey) || has(self.hostKeyPolicy) || has(self.context) || has(self.__namespace__) || has(self.credential)',
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

export const Retry = Closed(
  {
    limit: Integer({
      description: 'How often the step may be executed again.',
      minimum: 1,
      maximum: 10,
      format: 'int32',
    }),
    delay: Maybe(
      DurationText(
        'Time before the first repetition, at most 5m; doubled before each further one, up to 5m. 10s when absent.',
      ),
    ),
  },
  {
    description:
      'Executes the step again after a failure or a timeout, and with onLost: Retry also when an attempt was lost. The script must be safe to repeat.',
  },
);
export type Retry = Static<typeof Retry>;

export const Verify = Closed(
  {
    script: Text({
      description:
        "Finds out whether the lost attempt did its work, with the step's node, target, credential, interpreter and environment. Exit code 0: it was done, and the step succeeds. 1: it was not done, and the step is executed again. Anything else: the step waits for a RunDecision.",
      minLength: 1,
      maxLength: 65_536,
    }),
    timeout: Maybe(DurationText('Longest time that it may take, at most 168h; 1h when absent.')),
  },
  { description: 'For and only with onLost: Verify.' },
);
export type Verify = Static<typeof Verify>;

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
    retry: Maybe(Retry),
    onLost: Maybe(
      OneOf(onLostPolicies, {
        description:
          'What happens when nobody knows how an attempt ended: its runner did not come back, or cannot tell how far it got. Fail: the step fails. Retry: it is executed again, within retry.limit. Verify: verify.script finds out. Ask: it waits for a RunDecision. Fail when absent.',
      }),
    ),
    verify: Maybe(Verify),
    detach: Maybe(
      Flag({
        description:
          'For ssh-exec. True: the script outlives a lost connection or runner, which finds it again; that takes a POSIX shell and a private folder on the target, removed afterwards. False: it ends with the connection, for network devices and restricted shells. True when absent.',
      }),
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
