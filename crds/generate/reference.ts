import { apiVersion, kinds, type KindDefinition } from '@outrider/kinds';
import { errorReference } from './error-reference.ts';
import type { GeneratedFile } from './files.ts';
import { nodeReference } from './node-reference.ts';
import { cell, header, table } from './markdown.ts';
import { structural, type StructuralSchema } from './structural.ts';

interface Row {
  readonly path: string;
  readonly schema: StructuralSchema;
  readonly required: boolean;
}

/** Every field below a schema, depth first, as `spec.steps[].name`. */
function rows(schema: StructuralSchema, path: string): readonly Row[] {
  const inner = schema.items ?? schema;
  const prefix = schema.items === undefined ? path : `${path}[]`;
  const names = Object.entries(inner.properties ?? {});
  return names.flatMap(([name, child]) => [
    { path: `${prefix}.${name}`, schema: child, required: (inner.required ?? []).includes(name) },
    ...rows(child, `${prefix}.${name}`),
  ]);
}

function typeName(schema: StructuralSchema): string {
  if (schema.items !== undefined) return `[]${typeName(schema.items)}`;
  if (schema.additionalProperties !== undefined) return `map[string]${typeName(schema.additionalProperties)}`;
  return schema.type;
}

const bounds: readonly (readonly [string, (value: unknown) => string])[] = [
  ['enum', (value) => `one of ${(value as readonly string[]).join(', ')}`],
  ['minimum', (value) => `at least ${String(value)}`],
  ['maximum', (value) => `at most ${String(value)}`],
  ['maxLength', (value) => `at most ${String(value)} characters`],
  ['minItems', (value) => `at least ${String(value)} items`],
  ['maxItems', (value) => `at most ${String(value)} items`],
  ['maxProperties', (value) => `at most ${String(value)} entries`],
  ['format', (value) => String(value)],
];

const limits = (schema: StructuralSchema): string =>
  bounds.flatMap(([name, say]) => (name in schema ? [say(schema[name])] : [])).join('; ');

const fieldTable = (schema: StructuralSchema, path: string): string =>
  table(
    ['Field', 'Type', 'Required', 'Bounds', 'Meaning'],
    rows(schema, path).map((row) => [
      `\`${row.path}\``,
      `\`${typeName(row.schema)}\``,
      row.required ? 'yes' : '',
      limits(row.schema),
      row.schema.description ?? '',
    ]),
  );

/** What the API server refuses beyond types and bounds, as far as the words do not depend on the object. */
function refusals(schema: StructuralSchema, path: string): readonly string[] {
  const own = ((schema['x-kubernetes-validations'] ?? []) as readonly { message?: string }[]).flatMap(
    ({ message }) => (message === undefined ? [] : [`- \`${path}\`: ${cell(message)}`]),
  );
  const below = [
    ...Object.entries(schema.properties ?? {}).flatMap(([name, child]) => refusals(child, `${path}.${name}`)),
    ...(schema.items === undefined ? [] : refusals(schema.items, `${path}[]`)),
  ];
  return [...own, ...below];
}

function kindPage(definition: KindDefinition): GeneratedFile {
  const { kind, plural, shortNames, description, selectableFields, columns } = definition;
  const spec = structural(definition.spec, `${kind}.spec`);
  const status = structural(definition.status, `${kind}.status`);
  const refused = [
    ...definition.rules.flatMap(({ message }) =>
      message === undefined ? [] : [`- \`metadata.name\`: ${message}`],
    ),
    ...refusals(spec, 'spec'),
  ];
  const parts = [
    header,
    `# ${kind}`,
    description,
    `\`apiVersion: ${apiVersion}\`, \`kind: ${kind}\`. With kubectl: \`${[plural, definition.singular, ...shortNames].join('`, `')}\`; all kinds together: \`kubectl get outrider\`.`,
    '## spec',
    spec.description ?? '',
    fieldTable(spec, 'spec'),
    ...(refused.length === 0 ? [] : ['Also refused, among others:', refused.join('\n')]),
    '## status',
    status.description ?? '',
    fieldTable(status, 'status'),
    '## kubectl get',
    table(
      ['Column', 'Shown', 'Meaning'],
      columns.map(({ name, priority, description: meaning }) => [
        name.toUpperCase(),
        priority === 1 ? 'with `-o wide`' : 'always',
        meaning,
      ]),
    ),
    ...(selectableFields.length === 0
      ? []
      : [`Field selectors: ${selectableFields.map((field) => `\`${field.slice(1)}\``).join(', ')}.`]),
  ];
  return { path: `docs/reference/${definition.singular}.md`, text: `${parts.join('\n\n')}\n` };
}

function overview(): GeneratedFile {
  const list = table(
    ['Kind', 'Meaning'],
    kinds.map(({ kind, singular, description }) => [`[${kind}](${singular}.md)`, description]),
  );
  const parts = [
    header,
    '# Reference',
    `Kinds of the group \`${apiVersion}\`:`,
    list,
    'What a step may contain for each node type: [Node types](nodes.md). What went wrong: [Error codes](errors.md).',
    'A script has at most 64 KiB, as every workflow is stored whole in the cluster. Put what is larger on the target or into ' +
      'the image of the runner, and call it from the script.',
  ];
  return { path: 'docs/reference/README.md', text: `${parts.join('\n\n')}\n` };
}

/** docs/reference: one page a kind, one for the node types, one for the error codes, and their index. */
export const reference = (): readonly GeneratedFile[] => [
  overview(),
  ...kinds.map(kindPage),
  nodeReference(),
  errorReference(),
];
