import type { NewRun, NewTask, RunRecord } from '../records.ts';
import { fromNewRun, fromNewTask, toRun } from '../rows.ts';
import { inChunks, type Tx } from '../tables.ts';
import { guardNormal } from './meta.ts';

type Created = { outcome: 'Created' | 'Exists' | 'AlreadyRan'; run: RunRecord };

/** The run of the same namespace, name and spec, whoever made it again (a recreated or restored resource). */
const findTwin = (tx: Tx, run: NewRun) =>
  tx.sql
    .selectFrom('runs')
    .selectAll()
    .where('namespace', '=', run.namespace)
    .where('name', '=', run.name)
    .where('spec_digest', '=', run.specDigest)
    .orderBy('created_at', 'desc')
    .limit(1)
    .executeTakeFirst();

export const createRun = async (
  tx: Tx,
  command: { run: NewRun; tasks: readonly NewTask[]; term?: number },
): Promise<Created> => {
  const { run, tasks, term } = command;
  const known = await tx.sql.selectFrom('runs').selectAll().where('uid', '=', run.uid).executeTakeFirst();
  if (known !== undefined) return { outcome: 'Exists', run: toRun(known) };
  await tx.lock(`run/${run.namespace}/${run.name}`);
  const twin = await findTwin(tx, run);
  if (twin !== undefined) return { outcome: 'AlreadyRan', run: toRun(twin) };

  await guardNormal(tx, term);
  const row = await tx.sql
    .insertInto('runs')
    .values(fromNewRun(run))
    .returningAll()
    .executeTakeFirstOrThrow();
  for (const chunk of inChunks(tasks)) {
    await tx.sql
      .insertInto('tasks')
      .values(chunk.map((task) => fromNewTask(run, task)))
      .execute();
  }
  return { outcome: 'Created', run: toRun(row) };
};
