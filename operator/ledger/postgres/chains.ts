import type { Call } from './call.ts';
import type { Wanted } from './keys.ts';

const rootOf = (parents: Map<Call, Call>, call: Call): Call => {
  let root = call;
  for (let parent = parents.get(root); parent !== undefined; parent = parents.get(root)) root = parent;
  return root;
};

/**
 * Calls that meet in a key which one of them has for itself, directly or through others, in their order. Each chain is free of
 * all other chains.
 */
export const chainsOf = (wanted: ReadonlyMap<Call, Wanted>): readonly (readonly Call[])[] => {
  const parents = new Map<Call, Call>();
  const join = (one: Call, other: Call): void => {
    const [a, b] = [rootOf(parents, one), rootOf(parents, other)];
    if (a !== b) parents.set(b, a);
  };
  const owners = new Map<string, Call>();
  for (const [call, { exclusive }] of wanted) {
    for (const key of exclusive) {
      const owner = owners.get(key);
      if (owner === undefined) owners.set(key, call);
      else join(owner, call);
    }
  }
  for (const [call, { shared }] of wanted) {
    for (const key of shared) {
      const owner = owners.get(key);
      if (owner !== undefined) join(owner, call);
    }
  }
  return [...Map.groupBy(wanted.keys(), (call) => rootOf(parents, call)).values()];
};
