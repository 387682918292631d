import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeLogStore } from './log-store-suite.ts';
import { openSqliteLogStore } from './open.ts';

describeLogStore(async () => {
  const dir = await mkdtemp(join(tmpdir(), 'logs-'));
  return {
    open: (now) => openSqliteLogStore({ dir, now }),
    days: async () => (await readdir(dir)).flatMap((name) => /^logs-(.*)\.db$/.exec(name)?.[1] ?? []).sort(),
    remove: () => rm(dir, { recursive: true }),
  };
});
