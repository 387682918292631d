import type { TaskRecord } from '../ledger/records.ts';
import { demandOf, lacking, type Demand } from './eligibility.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';

/** How many runners are named: the closest ones. */
const named = 3;

const wanted = (demand: Demand): string => {
  if (demand.local) return 'a local runner';
  const tags = demand.tags.length === 0 ? 'no tags' : `the tags ${demand.tags.join(', ')}`;
  return `a runner of namespace ${demand.namespace} with ${tags}`;
};

const describe = (session: Session, demand: Demand): { name: string; lacks: readonly string[] } => ({
  name: session.runner.name,
  lacks: lacking(session.capability, demand),
});

export interface Waiting {
  readonly reason: 'NoRunner' | 'RunnersBusy' | 'Offered';
  readonly message: string;
}

/** Why a Ready task waits: which tags nobody has, and what the closest online runners lack. */
export const explainWaiting = (task: TaskRecord, sessions: Sessions): Waiting => {
  const demand = demandOf(task);
  const qualified = sessions.qualified(demand);
  if (qualified.size > 0) {
    const names = [...qualified].slice(0, named).map((session) => session.runner.name);
    return { reason: 'RunnersBusy', message: `Waits for a free slot on ${names.join(', ')}.` };
  }
  const needs = `Needs ${wanted(demand)} (node ${task.spec.node}).`;
  const closest = sessions
    .all()
    .filter((session) => !session.closed && session.runner.local === demand.local)
    .map((session) => describe(session, demand))
    .sort((a, b) => a.lacks.length - b.lacks.length || a.name.localeCompare(b.name))
    .slice(0, named);
  if (closest.length === 0)
    return {
      reason: 'NoRunner',
      message: `${needs} No such runner is online: start one, or see \`kubectl get runners\`.`,
    };
  const lacks = closest.map((runner) => `${runner.name}: ${runner.lacks.join(' and ')}`);
  return {
    reason: 'NoRunner',
    message: `${needs} No online runner qualifies. Closest: ${lacks.join('; ')}.`,
  };
};
