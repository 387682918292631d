import type { ErrorSection } from './error-meaning.ts';

export const runErrors: ErrorSection = {
  title: 'Runs and steps',
  errors: [
    {
      code: 'WorkflowNotFound',
      when: 'The run names a Workflow that its namespace does not have.',
      action: 'Apply the Workflow before `startDeadline` (24 h when absent); the run starts by itself.',
    },
    {
      code: 'InvalidParameters',
      when: 'A parameter is missing, unknown, or of the wrong type.',
      action: 'Correct `spec.parameters` in a new run: a run never changes.',
    },
    {
      code: 'TargetNotFound',
      when: 'A step names a Target that the namespace does not have.',
      action: 'Apply the Target before `startDeadline`; the run starts by itself.',
    },
    {
      code: 'NoTargets',
      when: 'The labels of a step select no Target.',
      action: 'Compare them with `kubectl get targets --show-labels`, then start a new run.',
    },
    {
      code: 'NoRunner',
      when: 'No online runner may take a step. The run waits.',
      action:
        'The message says which tags are needed and what the closest runners lack: start a runner, or correct tags and permissions.',
    },
    {
      code: 'QueueTimeout',
      when: 'A step waited for a runner for longer than the queue time (1 h unless the operator is told otherwise).',
      action: 'Start a runner with the tags, or free one; then start a new run.',
    },
    {
      code: 'Expired',
      when: 'The run could not start within its `startDeadline`, or a Login was not used in time.',
      action:
        'Correct what the message names; then start a new run. The command line makes a new Login by itself.',
    },
    {
      code: 'AlreadyRan',
      when: 'A run with the same namespace, name and spec ran before: it was deleted and applied again, or restored.',
      action: 'If it is to run again, give the run another name.',
    },
    {
      code: 'Lost',
      when: 'How an attempt ended is not known: its runner did not come back, or was restarted in between; or a run had started that the ledger does not know.',
      action:
        'Check on the target how far it got. It is never executed again by itself: start a new run if that is safe.',
    },
    {
      code: 'Orphaned',
      when: 'The WorkflowRun was deleted while it ran: what had not ended was cancelled.',
      action:
        'Nothing. To stop a run and keep its record, set `desiredState: Cancelled` instead of deleting it.',
    },
    {
      code: 'Poisoned',
      when: 'Three processes of runners ended while they held this step, each before it was done.',
      action: 'Read the logs of the runners that the message names; correct the step, then start a new run.',
    },
    {
      code: 'AwaitingHuman',
      when: 'How an attempt ended is not known, and its step says `onLost: Ask`, its probe gave no answer, or the ledger was restored.',
      action:
        'Check on the target how far it got, then say so: `outrider decide RUN STEP --attempt N` with `--succeeded`, `--failed` or `--retry`.',
    },
    {
      code: 'TargetBusy',
      when: "As many attempts as the Target's `maxParallel` permits act on it, or the end of one could not be confirmed. The step waits.",
      action:
        'Wait, or raise `maxParallel`. Where the end of an attempt is unconfirmed: check the target, then `outrider decide RUN STEP --attempt N --release`.',
    },
    {
      code: 'QuotaReached',
      when: 'The namespace runs as many attempts at a time as the operator grants it. The step waits.',
      action: 'Wait, or have the operator started with a larger `--namespace-concurrency`.',
    },
    {
      code: 'Cancelled',
      when: 'Somebody cancelled the run, or deleted it.',
      action: 'Nothing. If the step is marked `unconfirmed`, check on the target whether something is left.',
    },
    {
      code: 'TimedOut',
      when: 'A step took longer than its `timeout`. Its processes were ended.',
      action:
        'Raise `timeout`, or make the step shorter. If it is marked `unconfirmed`, check on the target whether something is left.',
    },
    {
      code: 'StepFailed',
      when: 'A step failed, and with it the run.',
      action: "Read the step's own reason and its log.",
    },
    {
      code: 'NonZeroExit',
      when: 'Script or command ended with an exit code other than 0.',
      action: 'Read the log of the step. The exit code of a script is that of its last command.',
    },
    {
      code: 'KilledBySignal',
      when: 'A signal that did not come from Outrider ended the script.',
      action: 'SIGKILL often means that the target ran out of memory: look at its kernel log.',
    },
  ],
};

export const credentialErrors: ErrorSection = {
  title: 'Credentials',
  errors: [
    {
      code: 'StoreNotFound',
      when: 'The namespace has no CredentialStore of the name before the colon.',
      action: 'Correct the reference, or create the CredentialStore. `secret:` is built in.',
    },
    {
      code: 'StoreUnreachable',
      when: 'The store did not answer the runner, or the operator where `access: Operator` is set.',
      action: 'Check address, caBundle, network, and that the store is unsealed.',
    },
    {
      code: 'StoreDenied',
      when: 'The store refused the login, or the role may not read the path; or the operator may not read Secrets there.',
      action:
        "Compare the role's bound audience, subject and claims, and the method's keys and issuer, with those of the operator; give the policy `read` on the path. For Secrets see the chart's value credentials.namespaces.",
    },
    {
      code: 'SecretNotFound',
      when: 'There is no such secret in the store.',
      action: 'Write it, or correct the part after the colon. The path prefix of the store is put before it.',
    },
    {
      code: 'SecretNotAllowed',
      when: 'The Secret lacks the label `outrider.dev/allow=true`, holds bytes that are not text, or is the secret_id of a CredentialStore.',
      action:
        'If workflows of the namespace may use it: `kubectl label secret NAME outrider.dev/allow=true`.',
    },
    {
      code: 'CredentialInvalid',
      when: 'The secret lacks a field that the node type needs, or a field cannot be used.',
      action: 'See the fields of the credential under [node types](nodes.md).',
    },
    {
      code: 'EnvelopeInvalid',
      when: 'A request for a credential is not signed by the key of the runner, or an envelope cannot be opened.',
      action: 'Compare the versions of runner and operator, and look for a proxy that changes requests.',
    },
  ],
};

export const targetErrors: ErrorSection = {
  title: 'Acting on targets',
  errors: [
    {
      code: 'AuthenticationFailed',
      when: 'The SSH server refused the login.',
      action:
        'Check user and credential, and what the server permits (authorized_keys, PasswordAuthentication, AllowUsers).',
    },
    {
      code: 'TargetUnreachable',
      when: 'No connection from the runner to the target.',
      action:
        'Check host, port, DNS and firewall from the machine of the runner, or route the step to a runner in that network.',
    },
    {
      code: 'HostKeyMismatch',
      when: 'The SSH server shows another host key than the one pinned. Nothing was sent to it.',
      action:
        'Have its administrator confirm the fingerprint, then change the pinned one; otherwise somebody may be answering in its place.',
    },
    {
      code: 'HostKeyUnknown',
      when: "Neither the target nor the runner's known_hosts knows the host key. Nothing was sent.",
      action:
        'The message shows the fingerprint: have it confirmed, then set `hostKey` on the Target or add the line to known_hosts.',
    },
    {
      code: 'ConnectionLost',
      when: 'The connection to the target broke while a step ran there. What could be found of it was ended.',
      action: 'Check on the target how far it got; start a new run if that is safe.',
    },
    {
      code: 'EpochFenced',
      when: 'A newer attempt of the same step has been on this target: the older one may not act there any more.',
      action: "Nothing: the newer attempt's result counts.",
    },
    {
      code: 'TargetRestarted',
      when: 'The target was restarted while the script ran.',
      action: 'Check on it how far the script got, then start a new run if that is safe.',
    },
    {
      code: 'SpoolFull',
      when: 'The target had no space for the output of the script, which was ended.',
      action: 'Free space in the folder that the message names, or print less.',
    },
    {
      code: 'SpoolLost',
      when: 'What the script left on the target for its runner to find again is gone.',
      action: 'Check on the target how far the script got, then start a new run if that is safe.',
    },
    {
      code: 'InterpreterNotFound',
      when: 'The `interpreter` of the step does not exist where the script runs.',
      action: 'Install it there, or name another; `/bin/sh` is used when it is absent.',
    },
    {
      code: 'KubectlMissing',
      when: 'The runner has no kubectl.',
      action:
        "Install it there, set `kubectl` in the runner's configuration, or route the step to a runner that has it.",
    },
    {
      code: 'KubectlFlagRefused',
      when: 'A kubectl call would change cluster, identity or namespace, or use a command that may not run here.',
      action: 'Remove the flag; set context, namespace and credential on the target.',
    },
    {
      code: 'CommandInvalid',
      when: 'A command cannot be split into words, is no kubectl call, or asks for what this step cannot have (a variable, a working folder).',
      action: 'The message names line and cause.',
    },
    {
      code: 'ContextNotFound',
      when: 'No kubeconfig that the step may use has the context.',
      action:
        "Create a Target of that name with a credential, set `credential` on the step, or list the context in the runner's configuration.",
    },
    {
      code: 'LocalExecNotAllowed',
      when: 'The step would run a program on the runner itself, and its machine does not permit it.',
      action:
        'Start that runner with `--local-exec`, and list local-exec in `spec.allow.nodes` of its Runner; or use another node type.',
    },
    {
      code: 'NodeNotAllowed',
      when: "The runner's own configuration does not permit the node type.",
      action: "Add it to `nodes` in the runner's configuration, or route the step to another runner.",
    },
    { code: 'NodeUnknown', when: 'The runner does not know the node type.', action: 'Upgrade the runner.' },
    {
      code: 'UserMissing',
      when: 'Neither the target nor the credential names a user for SSH.',
      action: 'Set `target.user`, or add the field `username` to the credential.',
    },
    {
      code: 'ExecutorCrashed',
      when: 'The code that carried out the step failed unexpectedly, or the runner closed.',
      action: "Check on the target how far it got. If it happens again, report it with the runner's log.",
    },
    {
      code: 'SecretInOutputs',
      when: 'An output of the step contains a secret. The output is not kept.',
      action: 'Do not return secrets as outputs.',
    },
    {
      code: 'JournalFull',
      when: "The runner's journal has no space for another attempt.",
      action:
        'Free disk space, or raise `journalMiB`. Logs that the operator has not received yet stay until it has.',
    },
    {
      code: 'JournalFailed',
      when: "The runner's journal cannot be read or written.",
      action: "Check the disk of the runner's state folder; it must honour fsync.",
    },
    {
      code: 'JournalLocked',
      when: 'Another process uses the state folder.',
      action: 'Stop it, or give this runner a state folder and a registration of its own.',
    },
    {
      code: 'JournalDamaged',
      when: "Records in the middle of the runner's journal are unreadable, so the runner does not start.",
      action:
        'Check the disk and look on the targets for what still runs, then move the journal file away and start again.',
    },
  ],
};
