import { statfsSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';

export const fileMode = 0o600;
export const folderMode = 0o700;

/** Makes the names in a folder durable: a created or renamed file survives a power cut only after this. */
export const syncFolder = async (folder: string): Promise<void> => {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};

/** A private folder; an existing one is narrowed to its owner. */
export const ensureFolder = async (folder: string): Promise<void> => {
  await mkdir(folder, { recursive: true, mode: folderMode });
  const handle = await open(folder, 'r');
  try {
    await handle.chmod(folderMode);
  } finally {
    await handle.close();
  }
};

/** What the file system of a folder still takes from a user that is not privileged. */
export const freeBytes = (folder: string): number => {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
};
