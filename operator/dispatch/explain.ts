import type { TaskRecord } from '../ledger/records.ts';
import type { Board } from './board.ts';
import { demandOf, lacking, type Demand } from './eligibility.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';

/** How many runners are named: the closest ones. */
const named = 3;

const wanted = (demand: Demand): string => {
  if (demand.local) return 'a local runner';
  const [tag, ...more] = demand.tags;
  if (tag === undefined) return `a runner of namespace ${demand.namespace}`;
  return `a runner of namespace ${demand.namespace} with the ${more.length > 0 ? 'tags' : 'tag'} ${demand.tags.join(', ')}`;
};

interface Candidate {
  readonly name: string;
  readonly lacks: readonly string[];
  /** How much would have to change; the closest has the least. */
  readonly distance: number;
}

const describe = ({ runner, capability }: Session, demand: Demand): Candidate => {
  const lacks = lacking(capability, demand);
  const tags = demand.tags.filter((tag) => !capability.tags.has(tag));
  return { name: runner.name, lacks, distance: lacks.length + tags.length };
};

/** Who reads this namespace's runs is told of its own runners and of those of the installation, of no other namespace's. */
const mayBeNamed = ({ runner }: Session, demand: Demand): boolean =>
  runner.local === demand.local && (demand.local || runner.namespace === demand.namespace);

/** Of the first few that fit; thousands may, and every waiting step asks. */
const namesOf = (sessions: Iterable<Session>, fits: (session: Session) => boolean): string => {
  const names = new Set<string>();
  for (const session of sessions) {
    if (names.size === named) break;
    if (fits(session)) names.add(session.runner.name);
  }
  return [...names].join(', ');
};

export interface Waiting {
  readonly reason: 'NoRunner' | 'RunnersBusy' | 'TargetBusy' | 'QuotaReached' | 'BackOff' | 'RecoveryActive';
  readonly message: string;
}

export interface ExplainOptions {
  readonly sessions: Sessions;
  readonly board: Board;
  /** The ledger was restored and nothing is offered. */
  readonly recovering: () => boolean;
  readonly now: () => number;
}

/** Why a Ready task waits, in words for whoever reads the status of its run. */
export type Explain = (task: TaskRecord) => Waiting;

const recovery: Waiting = {
  reason: 'RecoveryActive',
  message:
    'The ledger was restored from a copy, and nothing is started until an administrator has confirmed what became of the work since. See `outrider recovery`.',
};

const backOff = ({ notBefore, epoch }: TaskRecord, now: number): Waiting | undefined =>
  notBefore === null || notBefore <= now
    ? undefined
    : {
        reason: 'BackOff',
        message: `Attempt ${epoch} failed. Attempt ${epoch + 1} starts at ${new Date(notBefore).toISOString()} at the earliest.`,
      };

const stepOf = ({ spec }: TaskRecord): string => `${spec.run} (step ${spec.step})`;

/** Runs of other namespaces are not named: whoever reads this may not read those. */
const targetBusy = (task: TaskRecord, board: Board): Waiting | undefined => {
  if (!board.isBusy(task)) return undefined;
  const target = task.target || task.spec.connection?.name || 'its target';
  const holders = board.holdersFor(task).filter(({ spec }) => spec.namespace === task.spec.namespace);
  const busy = holders.slice(0, named).map(stepOf).join(', ');
  const who = busy === '' ? 'by work whose end is not confirmed' : `by ${busy}`;
  return {
    reason: 'TargetBusy',
    message: `Target ${target} takes ${task.lockMax ?? 1} at a time (spec.maxParallel) and is in use ${who}. It starts when that has ended; \`outrider decide … --release\` frees what nobody can confirm.`,
  };
};

const quotaReached = ({ spec, probeOf }: TaskRecord, board: Board): Waiting | undefined =>
  probeOf === null && board.isNamespaceFull(spec.namespace)
    ? {
        reason: 'QuotaReached',
        message: `Namespace ${spec.namespace} has ${board.namespaceConcurrency} attempts under way, as many as the operator permits (--namespace-concurrency). It starts when one of them has ended.`,
      }
    : undefined;

const runnersBusy = (task: TaskRecord, names: string, board: Board): Waiting => {
  const before = board.before(task);
  const others =
    before === 0
      ? ''
      : ` ${before} ${before === 1 ? 'step' : 'steps'} of a higher priority than ${task.priority} go first.`;
  return { reason: 'RunnersBusy', message: `Waits for a free slot on ${names}.${others}` };
};

/** What keeps it from being offered to anybody comes first; then which tags nobody has, and what the closest runners lack. */
export const createExplain =
  ({ sessions, board, recovering, now }: ExplainOptions): Explain =>
  (task) => {
    if (recovering()) return recovery;
    return (
      backOff(task, now()) ??
      targetBusy(task, board) ??
      quotaReached(task, board) ??
      explainRunners(task, sessions, board)
    );
  };

const explainRunners = (task: TaskRecord, sessions: Sessions, board: Board): Waiting => {
  const demand = demandOf(task);
  const qualified = sessions.qualified(demand);
  const present = namesOf(qualified, (session) => sessions.isPresent(session));
  if (present !== '') return runnersBusy(task, present, board);
  const needs = `Needs ${wanted(demand)} (node ${task.spec.node}).`;
  const away = namesOf(qualified, () => true);
  if (away !== '')
    return {
      reason: 'NoRunner',
      message: `${needs} None that qualifies is online: ${away} would, but has stopped or is not heard of. Start it again; the step then starts by itself.`,
    };
  const closest = sessions
    .all()
    .filter((session) => sessions.isPresent(session) && mayBeNamed(session, demand))
    .map((session) => describe(session, demand))
    .sort((a, b) => a.distance - b.distance || a.name.localeCompare(b.name))
    .slice(0, named);
  if (closest.length === 0)
    return {
      reason: 'NoRunner',
      message: `${needs} No such runner is online: start one (\`kubectl -n ${demand.namespace} get runners\` shows them); the step then starts by itself.`,
    };
  const lacks = closest.map((runner) => `${runner.name}: ${runner.lacks.join(' and ')}`);
  return {
    reason: 'NoRunner',
    message: `${needs} No online runner qualifies. Closest: ${lacks.join('; ')}. Change that or start a runner that qualifies; the step then starts by itself.`,
  };
};
