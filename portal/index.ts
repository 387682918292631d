import { Closed, Flag, Integer, List, Maybe, OneOf, Text, type Static } from '@outrider/schema';
import { decisions, runnerPhases, runPhases } from '@outrider/kinds';

/**
 * The portal's REST API: what the operator serves, and the CLI and the pages read. Everything under /api/v1 needs an access
 * token (DPoP, RFC 9449) and is refused with Forbidden where a SubjectAccessReview refuses it.
 */
export const portalPaths = {
  token: '/api/v1/token',
  openapi: '/api/v1/openapi.json',
  runs: (namespace: string) => `/api/v1/namespaces/${encodeURIComponent(namespace)}/workflowruns`,
  run: (namespace: string, name: string) => `${portalPaths.runs(namespace)}/${encodeURIComponent(name)}`,
  log: (namespace: string, name: string) => `${portalPaths.run(namespace, name)}/log`,
  rawLog: (namespace: string, name: string) => `${portalPaths.run(namespace, name)}/log/raw`,
  runners: (namespace: string) => `/api/v1/namespaces/${encodeURIComponent(namespace)}/runners`,
  registrationTokens: (namespace: string) =>
    `/api/v1/namespaces/${encodeURIComponent(namespace)}/registrationtokens`,
} as const;

/** Name of the ConfigMap in the operator's namespace that says where the portal is: keys `url` and `ca.crt`. */
export const portalConfigMap = 'outrider-portal';
/** Name of the ConfigMap there that says in which generation the ledger is, and whether it is in recovery. */
export const ledgerConfigMap = 'outrider-ledger';
/** Annotation of it whose value, the generation, confirms that work may go on after a restore. */
export const recoveryConfirmedAnnotation = 'outrider.dev/recovery-confirmed';
export const defaultNamespace = 'outrider-system';

const Name = () => Text({ maxLength: 253 });
const Instant = (description: string) => Text({ description, maxLength: 40, format: 'date-time' });
const Count = (description: string) => Integer({ description, minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

const ProbeOf = () =>
  Maybe(
    Text({
      description: "Id of the task whose lost attempt this one, its step's verify, finds out about.",
      maxLength: 64,
    }),
  );

export const TaskView = Closed({
  id: Text({ description: 'Id of the task in the ledger.', maxLength: 64 }),
  step: Text({ description: "Step's name.", maxLength: 63 }),
  target: Text({ description: 'Target, when the step has several; else empty.', maxLength: 253 }),
  node: Text({ description: 'Node type.', maxLength: 63 }),
  probeOf: ProbeOf(),
  state: Text({ description: 'State of the task, such as Ready, Running or Succeeded.', maxLength: 32 }),
  epoch: Count('Number of the current or last attempt; 0 before the first.'),
  runner: Maybe(Text({ description: 'Runner that holds or held it.', maxLength: 63 })),
  exitCode: Maybe(Integer({ description: 'Exit code.', minimum: -1, maximum: 4_294_967_295 })),
  signal: Maybe(Text({ description: 'Signal that ended the process.', maxLength: 16 })),
  reason: Maybe(Text({ description: 'Stable word for why.', maxLength: 64 })),
  message: Maybe(Text({ description: 'What happened, and what to do next.', maxLength: 4096 })),
  unconfirmed: Maybe(
    Count('Attempts of which it could not be checked that nothing of them still runs; absent when none.'),
  ),
  holdsTarget: Maybe(
    Count(
      'Attempt whose end could not be checked, and which keeps its place on a Target with maxParallel until it is released.',
    ),
  ),
  readyAt: Maybe(Instant('When it could have started.')),
  startedAt: Maybe(Instant('When the executor was entered.')),
  finishedAt: Maybe(Instant('When it ended.')),
  log: Closed({
    lines: Count('Lines so far.'),
    bytes: Count('Framed bytes so far.'),
    end: OneOf(['Open', 'Complete', 'Incomplete'] as const, {
      description: 'Complete when length and SHA-256 agree with the result.',
    }),
  }),
});
export type TaskView = Static<typeof TaskView>;

export const RunView = Closed({
  namespace: Name(),
  name: Name(),
  uid: Text({ maxLength: 64 }),
  workflow: Name(),
  phase: OneOf(runPhases),
  reason: Maybe(Text({ maxLength: 64 })),
  message: Maybe(Text({ maxLength: 32_768 })),
  priority: Maybe(
    Integer({
      description: 'Higher ones go first; absent when 0, or not frozen yet.',
      minimum: -1000,
      maximum: 1000,
    }),
  ),
  unconfirmed: Maybe(
    Count('Attempts of which it could not be checked that nothing of them still runs; absent when none.'),
  ),
  requestedBy: Maybe(Text({ maxLength: 253 })),
  createdAt: Instant('When the WorkflowRun was created.'),
  startedAt: Maybe(Instant('When the workflow was frozen.')),
  finishedAt: Maybe(Instant('When it reached a final phase.')),
});
export type RunView = Static<typeof RunView>;

/** What a person decided about an attempt whose end was not known. */
export const DecisionView = Closed({
  at: Instant('When it was applied.'),
  by: Text({ description: 'User who decided.', maxLength: 1024 }),
  step: Text({ description: "Step's name.", maxLength: 63 }),
  target: Text({ description: 'Target, when the step has several; else empty.', maxLength: 253 }),
  attempt: Count('Attempt that was decided on.'),
  decision: OneOf(decisions, { description: 'What was decided.' }),
  reason: Text({ description: "The person's words.", maxLength: 1024 }),
  applied: Flag({ description: 'False when it came too late, or nothing was to be decided.' }),
});
export type DecisionView = Static<typeof DecisionView>;

export const RunDetails = Closed({
  ...RunView.properties,
  tasks: List(TaskView, { maxItems: 100_000 }),
  history: Maybe(
    List(DecisionView, {
      description: 'Decisions of people, oldest first; absent when none.',
      maxItems: 1000,
    }),
  ),
});
export type RunDetails = Static<typeof RunDetails>;
export const RunList = Closed({ items: List(RunView, { maxItems: 1000 }) });
export type RunList = Static<typeof RunList>;

/** One line of log; a line of NDJSON, or the data of a `line` event. */
export const LineView = Closed({
  task: Text({ maxLength: 64 }),
  epoch: Count('Attempt.'),
  step: Text({ maxLength: 63 }),
  target: Text({ maxLength: 253 }),
  probeOf: ProbeOf(),
  line: Count('From 0 within the attempt.'),
  stream: OneOf(['stdout', 'stderr', 'system', 'gap'] as const, {
    description: 'system: a note by the product itself; gap: bytes that were left out.',
  }),
  at: Instant("By the runner's clock."),
  text: Text({ description: 'Without its line end.', maxLength: 65_536 }),
});
export type LineView = Static<typeof LineView>;

/**
 * Server-sent events of `log?follow=true`: `line` (LineView), `task` (TaskView, when its state changes), `run` (RunView; the
 * stream ends after a final phase once all lines are sent), `problem` (Problem). `id:` of a line is `TASK.EPOCH.LINE`; a client that
 * comes back sends the last id of each task as `after` parameters and gets every line once.
 */
export type LogEventName = 'line' | 'task' | 'run' | 'problem';

export const RunnerView = Closed({
  namespace: Name(),
  name: Name(),
  phase: OneOf(runnerPhases),
  reason: Maybe(Text({ maxLength: 1024 })),
  message: Maybe(Text({ maxLength: 32_768 })),
  lastHeartbeat: Maybe(Instant('Last contact, exact.')),
  load: Count('Attempts that it holds.'),
  capacity: Count('Attempts that it takes at a time.'),
  version: Maybe(Text({ maxLength: 64 })),
  startedAt: Maybe(Instant('When its process started.')),
  tags: List(Text({ maxLength: 63 }), { maxItems: 64 }),
  replicas: Count('Live sessions.'),
});
export type RunnerView = Static<typeof RunnerView>;
export const RunnerList = Closed({ items: List(RunnerView, { maxItems: 100_000 }) });
export type RunnerList = Static<typeof RunnerList>;

export const RegistrationTokenRequest = Closed({
  tags: Maybe(
    List(Text({ maxLength: 63, pattern: '^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$' }), {
      description: 'Tags that it permits; any when absent.',
      maxItems: 32,
    }),
  ),
  local: Maybe(
    Flag({
      description:
        "For a runner of the installation itself, which takes `runner: {local: true}`; only in the operator's own namespace.",
    }),
  ),
  ttlSeconds: Maybe(
    Integer({
      description: 'Validity; 3600 when absent, which is also the most.',
      minimum: 60,
      maximum: 3600,
    }),
  ),
});
export type RegistrationTokenRequest = Static<typeof RegistrationTokenRequest>;
export const RegistrationTokenResponse = Closed({
  token: Text({ description: 'Shown once. Single use.', maxLength: 4096 }),
  expiresAt: Instant('End of its validity.'),
  url: Text({ description: 'URL of the runner API.', maxLength: 1024 }),
});
export type RegistrationTokenResponse = Static<typeof RegistrationTokenResponse>;
