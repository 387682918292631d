import { definitions } from '@outrider/nodes';
import type { RunnerSpec } from '@outrider/kinds';
import type { TaskSpec } from '@outrider/protocol';
import type { TaskRecord } from '../ledger/records.ts';

/** The one tag that a workflow cannot spell: it belongs to runners that the operator's own installation starts. */
export const localTag = 'local';

/** What a live runner may be given, from its Runner resource, its registration and its own configuration together. */
export interface Capability {
  readonly namespace: string;
  readonly local: boolean;
  readonly tags: ReadonlySet<string>;
  readonly nodes: ReadonlySet<string>;
  /** Node types that the machine's own configuration permits; `nodes` is what the Runner resource permits of them. */
  readonly machineNodes: ReadonlySet<string>;
  readonly suspended: boolean;
  /** Most attempts at a time, by the Runner resource. */
  readonly concurrency: number;
}

/** Everything that decides who may take a task; equal signatures have equal candidates. */
export interface Demand {
  readonly signature: string;
  readonly namespace: string;
  readonly local: boolean;
  readonly tags: readonly string[];
  readonly nodes: readonly string[];
  /** It finds out what became of lost work, so no quota holds it up. */
  readonly isProbe: boolean;
}

/** A step whose input runs code on the runner itself needs local-exec as well as its own node type. */
const neededNodes = (spec: TaskSpec): string[] => {
  const runsLocally = definitions[spec.node]?.runsLocally(spec.input) ?? true;
  return runsLocally && spec.node !== 'local-exec' ? [spec.node, 'local-exec'] : [spec.node];
};

export const demandOf = (task: Pick<TaskRecord, 'spec' | 'tags' | 'local' | 'probeOf'>): Demand => {
  const tags = [...task.tags].sort();
  const nodes = neededNodes(task.spec);
  const isProbe = task.probeOf !== null;
  const demand = { namespace: task.spec.namespace, local: task.local, tags, nodes, isProbe };
  return { ...demand, signature: JSON.stringify([demand.namespace, demand.local, tags, nodes, isProbe]) };
};

/** Tags in effect: permitted by the Runner resource, and narrowed by what the runner itself asks for. */
export const effectiveTags = (
  permitted: readonly string[],
  ...narrowing: readonly (readonly string[] | null | undefined)[]
): string[] => permitted.filter((tag) => narrowing.every((asked) => !asked || asked.includes(tag)));

/** Node types permitted by the Runner resource (every one except local-exec when it says nothing) and by the machine. */
export const effectiveNodes = (spec: RunnerSpec, machine: readonly string[]): string[] => {
  const permitted = spec.allow?.nodes;
  return machine.filter((node) => (permitted ? permitted.includes(node) : node !== 'local-exec'));
};

/** Which of the two has to change: the machine's configuration, or the Runner resource. */
const missingNodes = (capability: Capability, nodes: readonly string[]): string[] => {
  const missing = nodes.filter((node) => !capability.nodes.has(node));
  const machine = missing.filter((node) => !capability.machineNodes.has(node));
  const resource = missing.filter((node) => capability.machineNodes.has(node));
  return [
    ...(machine.length > 0 ? [`its machine's own configuration does not permit ${machine.join(', ')}`] : []),
    ...(resource.length > 0 ? [`its spec.allow.nodes does not permit ${resource.join(', ')}`] : []),
  ];
};

/** What the runner lacks for this work, in words; empty when it qualifies. */
export const lacking = (capability: Capability, demand: Demand): string[] => {
  const lacks: string[] = [];
  if (demand.local !== capability.local)
    lacks.push(demand.local ? 'it is not a local runner' : 'it takes only local work');
  else if (!demand.local && capability.namespace !== demand.namespace)
    lacks.push(`it serves namespace ${capability.namespace}`);
  const tags = demand.tags.filter((tag) => !capability.tags.has(tag));
  if (tags.length > 0) lacks.push(`it lacks the ${tags.length === 1 ? 'tag' : 'tags'} ${tags.join(', ')}`);
  lacks.push(...missingNodes(capability, demand.nodes));
  if (capability.suspended) lacks.push('it is suspended');
  return lacks;
};
