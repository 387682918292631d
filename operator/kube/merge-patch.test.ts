import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mergePatchBetween, plainJson, sameJson } from './merge-patch.ts';

/** RFC 7396, section 2, word by word. */
const apply = (target: unknown, patch: unknown): unknown => {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> =
    typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = apply(result[name], value);
  }
  return result;
};

test('equal values need no patch, whatever the order of their fields', () => {
  expect(mergePatchBetween({ a: 1, b: { c: [1] } }, { b: { c: [1] }, a: 1 })).toBeUndefined();
});

test('says only what differs: null for what goes, whole lists', () => {
  const from = { phase: 'Online', load: 1, deep: { a: 1, b: 2 }, list: [1, 2] };
  const to = { phase: 'Online', deep: { a: 1, b: 3 }, list: [1], more: true };
  expect(mergePatchBetween(from, to)).toEqual({ load: null, deep: { b: 3 }, list: [1], more: true });
});

test('leaves undefined out, as JSON does', () => {
  expect(plainJson({ a: undefined, b: 1 })).toEqual({ b: 1 });
  expect(Object.keys(plainJson({ a: undefined, b: 1 }) as object)).toEqual(['b']);
});

test('applied to what it started from, a patch gives what was wanted', () => {
  const leaf = fc.oneof(fc.boolean(), fc.integer(), fc.string(), fc.array(fc.integer(), { maxLength: 3 }));
  const name = fc.constantFrom('a', 'b', 'c', 'd');
  const object = fc.letrec<{ node: unknown; object: Record<string, unknown> }>((tie) => ({
    node: fc.oneof({ maxDepth: 3 }, leaf, tie('object')),
    object: fc.dictionary(name, tie('node'), { noNullPrototype: true }),
  })).object;
  fc.assert(
    fc.property(object, object, (from, to) => {
      const patch = mergePatchBetween(from, to);
      expect(sameJson(patch === undefined ? from : apply(from, patch), to)).toBe(true);
    }),
  );
});
