import { definitions, type NodeDefinition, type Presence } from '@outrider/nodes';
import type { GeneratedFile } from './files.ts';
import { header, table } from './markdown.ts';

const words: Readonly<Record<Presence, string>> = {
  Required: 'required',
  Optional: 'optional',
  Refused: 'refused',
};

function fieldRows(node: NodeDefinition): readonly (readonly string[])[] {
  const target = node.targetType === undefined ? '' : ` (type ${node.targetType})`;
  return [
    [`\`target\` or \`targets\`${target}`, words[node.target]],
    ['`credential`', words[node.credential]],
    ...Object.entries(node.fields).map(([name, presence]) => [
      `\`${name}\``,
      node.exactlyOneOf?.some((field) => field === name) === true
        ? `exactly one of ${node.exactlyOneOf.join(', ')}`
        : words[presence],
    ]),
  ];
}

function section(node: NodeDefinition): readonly string[] {
  const { interpreter, timeoutMs } = node.defaults;
  const credentialFields = Object.entries(node.credentialFields);
  return [
    `## ${node.name}`,
    `${node.title}. ${node.description}`,
    table(['Field of the step', 'Presence'], fieldRows(node)),
    ...(credentialFields.length === 0
      ? []
      : [
          'Fields of the credential:',
          table(
            ['Field', 'Meaning'],
            credentialFields.map(([name, meaning]) => [`\`${name}\``, meaning]),
          ),
        ]),
    `When absent: timeout ${timeoutMs / 60_000}m${interpreter === undefined ? '' : `, interpreter \`${interpreter}\``}.`,
  ];
}

/** docs/reference/nodes.md, from the node types' definitions. */
export function nodeReference(): GeneratedFile {
  const nodes = Object.values(definitions).sort((a, b) => a.name.localeCompare(b.name));
  const parts = [
    header,
    '# Node types',
    'The field `node` of a step names one of these.',
    ...nodes.flatMap(section),
  ];
  return { path: 'docs/reference/nodes.md', text: `${parts.join('\n\n')}\n` };
}
