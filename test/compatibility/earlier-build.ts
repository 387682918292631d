import { existsSync, mkdirSync, readdirSync, readlinkSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { must, run } from '../servers/command.ts';
import type { Footprint } from '../servers/footprint.ts';
import { repositoryRoot } from '../servers/paths.ts';

/** The last commit whose runner and operator speak version 1 of the runner protocol. */
export const lastOfVersion1 = 'f0af4f13';

/** The first commit whose runner and operator speak version 2, which is frozen since. */
export const firstOfVersion2 = '28b901b';

const scope = '@outrider';

/** Third parties' packages as they are here, and the workspaces as they are there. */
const linkPackages = (folder: string): void => {
  const [from, to] = [join(repositoryRoot, 'node_modules'), join(folder, 'node_modules')];
  mkdirSync(join(to, scope), { recursive: true });
  for (const name of readdirSync(from)) if (name !== scope) symlinkSync(join(from, name), join(to, name));
  for (const name of readdirSync(join(from, scope)))
    symlinkSync(readlinkSync(join(from, scope, name)), join(to, scope, name));
};

/** Path of a program of an earlier commit, in the layout of dist/. */
export type EarlierProgram = (program: 'operator' | 'runner' | 'cli', file: string) => string;

/**
 * Builds the programs of an earlier commit from this repository's history, with the packages that are installed now.
 * Undefined when the history does not reach back so far, as in a shallow clone.
 */
export const buildEarlier = async (
  footprint: Footprint,
  commit: string,
): Promise<EarlierProgram | undefined> => {
  const known = await run('git', ['-C', repositoryRoot, 'cat-file', '-e', `${commit}^{commit}`]);
  if (known.code !== 0) return undefined;
  const folder = footprint.subfolder(`build-${commit}`);
  if (!existsSync(join(folder, 'build.ts'))) {
    const archive = join(folder, 'sources.tar');
    await must('git', ['-C', repositoryRoot, 'archive', '-o', archive, commit]);
    await must('tar', ['-x', '-f', archive, '-C', folder]);
    linkPackages(folder);
  }
  await must(process.execPath, ['--conditions=development', 'build.ts'], { cwd: folder });
  return (program, file) => join(folder, 'dist', program, file);
};
