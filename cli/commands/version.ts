import type { Command } from '../command.ts';
import { exitStatus } from '../errors.ts';
import { renderObject } from '../output/objects.ts';
import { version as number } from '../version.ts';

export const version: Command = {
  name: 'version',
  summary: 'Print the version of this program',
  operands: '',
  arity: [0, 0],
  description: 'Asks no server.',
  examples: [{ what: 'For a program', words: 'version -o json' }],
  options: {},
  formats: ['json', 'yaml'],
  run: async ({ format, out }) => {
    const known = { version: number, node: process.versions.node };
    if (format === 'json' || format === 'yaml') await out.write(await renderObject(known, format));
    else await out.write(`outrider ${known.version} (node ${known.node})\n`);
    return exitStatus.ok;
  },
};
