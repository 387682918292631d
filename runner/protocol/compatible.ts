/** The part of JSON Schema that messages are written in. */
export interface JsonSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly enum?: readonly unknown[];
  readonly [bound: string]: unknown;
}

/** Larger ones take more, smaller ones take more, and those that must stay as they are. */
const upper = ['maxLength', 'maxItems', 'maximum', 'maxProperties'];
const lower = ['minLength', 'minItems', 'minimum', 'minProperties'];
const equal = ['type', 'pattern', 'format', 'additionalProperties'];

const at = (path: string, what: string): string => (path === '' ? what : `${path}: ${what}`);

const narrower = (name: string, before: unknown, after: unknown): boolean => {
  if (typeof before !== 'number' || typeof after !== 'number') return before !== after;
  return upper.includes(name) ? after < before : lower.includes(name) ? after > before : after !== before;
};

const boundsOf = (before: JsonSchema, after: JsonSchema, path: string): string[] =>
  [...equal, ...upper, ...lower].flatMap((name) => {
    const [was, is] = [before[name], after[name]];
    if (typeof was === 'object' || was === is) return [];
    if (is === undefined) return [at(path, `${name} is gone`)];
    if (was === undefined) return [at(path, `${name} is new`)];
    return narrower(name, was, is)
      ? [at(path, `${name} is ${JSON.stringify(is)}, and was ${JSON.stringify(was)}`)]
      : [];
  });

const enumOf = (before: JsonSchema, after: JsonSchema, path: string): string[] =>
  (before.enum ?? [])
    .filter((value) => after.enum?.includes(value) !== true)
    .map((value) => at(path, `${JSON.stringify(value)} is gone`));

const requiredOf = (before: JsonSchema, after: JsonSchema, path: string): string[] => {
  const [was, is] = [before.required ?? [], after.required ?? []];
  return [
    ...was.filter((name) => !is.includes(name)).map((name) => at(path, `${name} is not required any more`)),
    ...is.filter((name) => !was.includes(name)).map((name) => at(path, `${name} is required`)),
  ];
};

const propertiesOf = (before: JsonSchema, after: JsonSchema, path: string): string[] =>
  Object.entries(before.properties ?? {}).flatMap(([name, schema]) => {
    const now = after.properties?.[name];
    const inner = path === '' ? name : `${path}.${name}`;
    return now === undefined ? [at(path, `${name} is gone`)] : incompatibilities(schema, now, inner);
  });

/**
 * Why a peer that knows only `before` and one that speaks `after` could misunderstand each other; empty when they cannot. A
 * field may be added if it is optional; whoever sends it has to know that the peer understands it (`features`).
 */
export const incompatibilities = (before: JsonSchema, after: JsonSchema, path = ''): string[] => [
  ...boundsOf(before, after, path),
  ...enumOf(before, after, path),
  ...propertiesOf(before, after, path),
  ...requiredOf(before, after, path),
  ...(before.items && after.items ? incompatibilities(before.items, after.items, `${path}[]`) : []),
];
