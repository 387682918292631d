import { expect, test } from 'vitest';
import type { Call } from './call.ts';
import { chainsOf } from './chains.ts';
import { serverKeys, type Wanted } from './keys.ts';
import { lockSetOf } from './lock-sets.ts';

const call = (name: string): Call => ({
  name,
  args: [],
  locks: lockSetOf('audit', []),
  deadline: Infinity,
  resolve: () => undefined,
  reject: () => undefined,
});
const wanted = (exclusive: readonly string[], shared: readonly string[] = []): Wanted => ({
  exclusive: new Set(exclusive),
  shared: new Set(shared),
});
const chains = (...calls: readonly (readonly [string, Wanted])[]): string[] =>
  chainsOf(new Map(calls.map(([name, keys]) => [call(name), keys]))).map((chain) =>
    chain.map(({ name }) => name).join(' '),
  );

test('calls on different tasks of one run go side by side, calls on one task in their order', () => {
  const found = chains(
    ['a', wanted(['task/1'], ['run/x'])],
    ['b', wanted(['task/2'], ['run/x'])],
    ['c', wanted(['task/1'], ['run/x'])],
  );
  expect(found).toEqual(['a c', 'b']);
});

test('who has a run alone is in one chain with all that share it, before and after', () => {
  const found = chains(
    ['a', wanted(['task/1'], ['run/x'])],
    ['plan', wanted(['run/x'])],
    ['b', wanted(['task/2'], ['run/x'])],
    ['c', wanted(['task/3'], ['run/y'])],
  );
  expect(found).toEqual(['a plan b', 'c']);
});

test('chains that a later call joins become one, in the order of the calls', () => {
  const found = chains(
    ['a', wanted(['one'])],
    ['b', wanted(['two'])],
    ['c', wanted(['three'])],
    ['d', wanted(['two', 'one'])],
    ['e', wanted([])],
  );
  expect(found).toEqual(['a b d', 'c', 'e']);
});

test('at the server a run is had alone, a task has no key, and the rest is as it was', () => {
  const keys = serverKeys([
    wanted(['task/1', 'lock/db'], ['run/x', 'session/k']),
    wanted(['task/2'], ['run/x', 'session/k']),
  ]);
  expect(keys).toEqual({ exclusive: ['lock/db', 'run/x'], shared: ['session/k'] });
});
