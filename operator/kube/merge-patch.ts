import { isDeepStrictEqual } from 'node:util';

type Json = Readonly<Record<string, unknown>>;

/** A value as it will be after its way through JSON: without undefined. */
export const plainJson = (value: unknown): unknown =>
  value === undefined ? null : JSON.parse(JSON.stringify(value));

export const sameJson = (left: unknown, right: unknown): boolean => isDeepStrictEqual(left, right);

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The JSON merge patch (RFC 7396) that makes `to` of `from`; undefined when they are equal. Lists are replaced whole. */
export const mergePatchBetween = (from: unknown, to: unknown): unknown => {
  if (sameJson(from, to)) return undefined;
  if (!isObject(from) || !isObject(to)) return to;
  const patch: Record<string, unknown> = {};
  for (const name of Object.keys(from)) if (!(name in to)) patch[name] = null;
  for (const [name, value] of Object.entries(to)) {
    const part = name in from ? mergePatchBetween(from[name], value) : value;
    if (part !== undefined) patch[name] = part;
  }
  return patch;
};
