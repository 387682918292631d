import type { TaskRecord } from '../ledger/records.ts';
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

const namesOf = (sessions: readonly Session[]): string =>
  [...new Set(sessions.map((session) => session.runner.name))].slice(0, named).join(', ');

export interface Waiting {
  readonly reason: 'NoRunner' | 'RunnersBusy';
  readonly message: string;
}

/** Why a Ready task waits: which tags nobody has, and what the closest online runners lack. */
export const explainWaiting = (task: TaskRecord, sessions: Sessions): Waiting => {
  const demand = demandOf(task);
  const qualified = [...sessions.qualified(demand)];
  const present = namesOf(qualified.filter((session) => sessions.isPresent(session)));
  if (present !== '') return { reason: 'RunnersBusy', message: `Waits for a free slot on ${present}.` };
  const needs = `Needs ${wanted(demand)} (node ${task.spec.node}).`;
  const away = namesOf(qualified);
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
