import type { ErrorSection } from './error-meaning.ts';

const sameVersion = 'Compare the versions of runner, operator and command line; upgrade the older one.';
const byItself = 'Nothing: the runner does what is needed by itself.';

export const apiErrors: ErrorSection = {
  title: 'Any API',
  errors: [
    { code: 'BadRequest', when: 'A request is not what the API expects.', action: sameVersion },
    {
      code: 'Unauthenticated',
      when: 'The access token or its proof of possession is missing, expired or not valid here.',
      action:
        'Set the clock of the machine. A runner and the command line get a new token by themselves; if it stays, register or log in again.',
    },
    {
      code: 'Forbidden',
      when: 'Kubernetes RBAC does not permit this, or a runner asked for a credential that its step does not name.',
      action:
        'The message names verb, resource and namespace: have a Role with them bound to the user, and check with `kubectl auth can-i`.',
    },
    {
      code: 'NotFound',
      when: 'There is no such object, or no such path.',
      action:
        'Check name and namespace. For a path, check the URL: the runner API and the portal are two ports.',
    },
    {
      code: 'Conflict',
      when: 'Something else changed the same object at the same time.',
      action: 'Repeat the request.',
    },
    { code: 'PayloadTooLarge', when: 'The request has too many bytes.', action: 'Send less at once.' },
    {
      code: 'TooManyRequests',
      when: 'A limit for this client is used up.',
      action: 'Wait as long as the header Retry-After says. Runners do so by themselves.',
    },
    {
      code: 'Internal',
      when: 'The product failed in a way that it does not know.',
      action: 'Try again. If it stays, report it with the lines of the log at that moment.',
    },
    {
      code: 'Unavailable',
      when: 'The operator cannot serve now: its ledger, its certificate or the API server is not usable, or it is stopping.',
      action:
        "Try again. If it stays, read the operator's log: disk full, data folder in use by another process, and a damaged file are named there.",
    },
  ],
};

export const joiningErrors: ErrorSection = {
  title: 'Joining, and the identity of runners',
  errors: [
    {
      code: 'RegistrationTokenInvalid',
      when: 'The registration token is cut, is another kind of token, or is unknown to this operator.',
      action: 'Copy the whole token, or make a new one with `outrider runner token`.',
    },
    {
      code: 'RegistrationTokenExpired',
      when: 'The registration token is past its time, an hour if nothing shorter was asked for.',
      action: 'Make a new one with `outrider runner token`, and start the runner with it at once.',
    },
    {
      code: 'RegistrationTokenUsed',
      when: 'Another key has joined with this token. The key that joined with it may repeat the call.',
      action:
        'Make one token for each machine. If this machine had joined, give it back its state folder. If neither is so, the token leaked: revoke the runner that used it.',
    },
    {
      code: 'RunnerNameTaken',
      when: 'The name belongs to the runner of the installation itself, or that one asks for the name of another.',
      action: 'Choose another name.',
    },
    {
      code: 'RunnerRevoked',
      when: '`spec.revoked` of the Runner is true, or its key was revoked.',
      action: 'Remove the state folder, and register under another name with a new token.',
    },
    {
      code: 'TagNotPermitted',
      when: 'The runner asks for a tag that its token or its Runner resource does not permit, or for the reserved tag `local`.',
      action:
        'Take the tag out of OUTRIDER_RUNNER_TAGS, add it to `spec.tags` of the Runner, or make a token that permits it.',
    },
    {
      code: 'CertificateMismatch',
      when: 'A server shows a certificate that the pinned or configured CA did not sign.',
      action:
        'Check the URL, and whether a proxy ends TLS on the way: the runner API must be passed through. If the CA was replaced on purpose, make a new token.',
    },
    {
      code: 'OperatorUnreachable',
      when: 'No connection to the operator, or no answer from it.',
      action:
        'Check URL, DNS, proxy (HTTPS_PROXY, NO_PROXY) and firewall: one outbound TCP connection to the runner API is needed.',
    },
    {
      code: 'ConfigInvalid',
      when: 'An option, an environment variable or a file has a value that cannot be used.',
      action: 'The message names the source: correct it there.',
    },
  ],
};

export const protocolErrors: ErrorSection = {
  title: 'Runner protocol',
  errors: [
    {
      code: 'ProtocolVersionUnsupported',
      when: 'Runner and operator share no protocol version.',
      action: sameVersion,
    },
    {
      code: 'SessionUnknown',
      when: 'The operator does not know the session, most likely because it was restarted.',
      action: 'Nothing: the runner opens a new session and hands in its journal.',
    },
    {
      code: 'SessionSuperseded',
      when: 'A newer process uses the same key.',
      action: 'Let one process only use a state folder. A replica registers on its own.',
    },
    {
      code: 'SessionQuarantined',
      when: 'More than 12 sessions of one key within a minute, as two copies of one machine make them.',
      action:
        'Stop all copies but one, give the others a state folder and a registration of their own, wait a minute.',
    },
    {
      code: 'GenerationMismatch',
      when: 'The ledger is not the one that the runner last spoke with.',
      action: byItself,
    },
    {
      code: 'EpochMismatch',
      when: 'The operator has given the task to a newer attempt, or never to this runner.',
      action: 'Nothing: the runner ends and forgets the attempt.',
    },
    {
      code: 'StateMismatch',
      when: 'The state of the task does not permit this step.',
      action: 'Nothing: the runner ends and forgets the attempt.',
    },
    {
      code: 'OfferExpired',
      when: 'An offer was accepted after its 10 s. Nothing was started.',
      action:
        'Nothing: the task is offered again. If it happens often, look at the network and the disk of the runner.',
    },
    {
      code: 'result_conflict',
      when: 'Another result of the same attempt is recorded. The recorded one stays.',
      action: 'Look for two processes that share one journal.',
    },
    {
      code: 'log_conflict',
      when: 'Log bytes differ from those that are held at the same offset. Those held stay.',
      action: 'Look for two processes that share one journal.',
    },
    {
      code: 'log_gap',
      when: 'Log bytes before these are missing.',
      action: 'Nothing: the runner sends again from the offset that the operator holds.',
    },
    {
      code: 'RecoveryActive',
      when: 'The ledger was restored from a copy: nothing is offered until an administrator has confirmed it.',
      action: '`outrider recovery` shows what is unclear; `outrider recovery confirm` goes on.',
    },
    {
      code: 'TermSuperseded',
      when: 'A replica of the operator that no longer leads wanted to change a run.',
      action: 'Nothing: the replica that leads goes on.',
    },
  ],
};
