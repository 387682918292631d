import type { TSchema } from '@outrider/schema';

/** A structural schema as a CRD carries it. */
export interface StructuralSchema {
  readonly type: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, StructuralSchema>>;
  readonly required?: readonly string[];
  readonly items?: StructuralSchema;
  readonly additionalProperties?: StructuralSchema;
  readonly [keyword: string]: unknown;
}

/** Keywords that are copied as they are, in the order in which they are written. */
const keywords = [
  'format',
  'enum',
  'minLength',
  'maxLength',
  'pattern',
  'minimum',
  'maximum',
  'minItems',
  'maxItems',
  'maxProperties',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-map-type',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-validations',
] as const;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Turns a typebox schema into a structural one.
 * @throws Error when a keyword has no structural counterpart, a description is missing, or a string or list has no bound.
 */
export function structural(schema: TSchema, path: string): StructuralSchema {
  return convert(schema, path, true);
}

function convert(schema: unknown, path: string, described: boolean): StructuralSchema {
  if (!isRecord(schema)) throw new Error(`${path}: not a schema`);
  const type = schema['type'];
  if (typeof type !== 'string') throw new Error(`${path}: a structural schema needs a type`);
  check(schema, { path, type, described });
  const own = Object.fromEntries(keywords.flatMap((name) => (name in schema ? [[name, schema[name]]] : [])));
  return {
    ...(typeof schema['description'] === 'string' ? { description: schema['description'] } : {}),
    type,
    ...own,
    ...children(schema, path),
  };
}

function children(schema: Record<string, unknown>, path: string): Partial<StructuralSchema> {
  const { properties, items, additionalProperties, required } = schema;
  return {
    ...(Array.isArray(required) && required.length > 0 ? { required: required } : {}),
    ...(isRecord(properties) ? { properties: convertAll(properties, path) } : {}),
    ...(isRecord(items) ? { items: convert(items, `${path}[]`, true) } : {}),
    ...(isRecord(additionalProperties)
      ? { additionalProperties: convert(additionalProperties, `${path}{}`, false) }
      : {}),
  };
}

const convertAll = (properties: Record<string, unknown>, path: string): Record<string, StructuralSchema> =>
  Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => [name, convert(schema, `${path}.${name}`, true)]),
  );

const passing = new Set<string>([
  ...keywords,
  'type',
  'description',
  'properties',
  'required',
  'items',
  'additionalProperties',
]);

interface Place {
  readonly path: string;
  readonly type: string;
  readonly described: boolean;
}

function check(schema: Record<string, unknown>, { path, type, described }: Place): void {
  const foreign = Object.keys(schema).find((name) => !passing.has(name));
  if (foreign !== undefined) throw new Error(`${path}: ${foreign} has no counterpart in a structural schema`);
  if (described && !schema['description']) throw new Error(`${path}: the description is missing`);
  const bound = unbounded(schema, type);
  if (bound !== undefined) throw new Error(`${path}: ${bound} is missing`);
}

/** The bound without which the API server's estimate of a rule's cost has no limit. */
function unbounded(schema: Record<string, unknown>, type: string): string | undefined {
  if (type === 'string' && !('enum' in schema) && !('maxLength' in schema)) return 'maxLength';
  if (type === 'array' && !('maxItems' in schema)) return 'maxItems';
  return undefined;
}
