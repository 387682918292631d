import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** A generated file: path from the root of the repository, and its whole text. */
export interface GeneratedFile {
  readonly path: string;
  readonly text: string;
}

/** Folders that hold generated files alone; a file there that no generator makes any more is removed. */
export const ownedFolders = [
  'crds/manifests',
  'docs/reference',
  'charts/outrider/templates/crds',
  'charts/outrider/templates/policies',
] as const;

/** Writes the files under `root` and removes what an earlier generation left in the owned folders. */
export async function writeFiles(root: string, files: readonly GeneratedFile[]): Promise<void> {
  for (const file of files) {
    await mkdir(dirname(join(root, file.path)), { recursive: true });
    await writeFile(join(root, file.path), file.text);
  }
  const wanted = new Set(files.map((file) => file.path));
  for (const folder of ownedFolders) {
    for (const name of await readdir(join(root, folder))) {
      if (!wanted.has(`${folder}/${name}`)) await rm(join(root, folder, name), { recursive: true });
    }
  }
}
