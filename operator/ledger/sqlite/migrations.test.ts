import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { newTask } from '../invariants/builders.ts';
import { taskStates } from '../records.ts';
import { initial } from './migration-0001-initial.ts';
import { migrate } from './migrations.ts';
import { openSqliteLedger } from './open.ts';

let dir: string;
let file: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'ledger-'));
  file = join(dir, 'ledger.db');
});
afterEach(() => rm(dir, { recursive: true }));

const spec = JSON.stringify(newTask('t', 'run', 0).spec);
/** As the version before wrote them. */
const insertRun = `INSERT INTO runs (uid, namespace, name, spec_digest, workflow_name, workflow, steps, state, cancel_requested,
  created_at, revision, pruned) VALUES (?, 'team-a', ?, 'd', 'w', '{"name":"w"}', '[{"name":"restart"}]', 'Running', 0, 1, 1, 0)`;
const insertTask = `INSERT INTO tasks (id, run_uid, step_index, target, spec, tags, local, state, epoch, cancel_requested,
  runner, runner_name, session, queue_deadline, lease_expires_at)
  VALUES (?, ?, 0, 'web-1', ?, '["ssh"]', 0, ?, ?, 0, 'key', 'dc1', 's', 3, 4)`;
const insertAttempt = `INSERT INTO attempts (task, epoch, runner, runner_name, session, offered_at)
  VALUES (?, 1, 'key', 'dc1', 's', 1)`;

const fill = (db: DatabaseSync, run: string): void => {
  db.prepare(insertRun).run(run, run);
  db.prepare(insertTask).run(`${run}-held`, run, spec, 'Running', 1);
  db.prepare(insertTask).run(`${run}-new`, run, spec, 'Pending', 0);
  db.prepare(insertAttempt).run(`${run}-held`);
};
const openFile = (): DatabaseSync => new DatabaseSync(file, { enableForeignKeyConstraints: true });

describe('migration 2', () => {
  test('keeps runs, tasks and attempts, and gives them what is new', async () => {
    const db = openFile();
    migrate(db, file, [initial]);
    fill(db, 'old');
    db.close();

    const ledger = await openSqliteLedger({ file });
    expect((await ledger.readRun('old'))?.tasks).toMatchObject([
      { id: 'old-held', state: 'Running', epoch: 1, onLost: 'Fail', retriesLeft: 0, uncertain: false },
      { id: 'old-new', state: 'Pending', probeOf: null, lockKey: null, crashes: 0 },
    ]);
    const by = { clientId: 'key', runnerName: 'dc1', session: 'again' };
    const { answers } = await ledger.openSession({
      by,
      inventory: [{ task: 'old-held', epoch: 1, generation: ledger.generation, state: 'Started' }],
      now: 2,
      leaseExpiresAt: 5,
    });
    expect(answers[0]?.decision).toBe('Continue');
    await ledger.close();
    const after = openFile();
    expect(after.prepare('SELECT task, namespace FROM attempts JOIN tasks ON id = task').all()).toEqual([
      { task: 'old-held', namespace: 'team-a' },
    ]);
    after.close();
  });

  test('leaves a schema into which the version before writes as it did', async () => {
    const ledger = await openSqliteLedger({ file });
    await ledger.close();
    const db = openFile();
    migrate(db, file, [initial]);
    fill(db, 'back');
    db.prepare("UPDATE tasks SET state = 'Lost', finished_at = 9 WHERE id = 'back-held'").run();
    expect(() => db.prepare("UPDATE tasks SET message = 'x' WHERE id = 'back-held'").run()).toThrow(
      'a terminal task never changes',
    );
    expect(() => db.prepare("UPDATE tasks SET epoch = -1 WHERE id = 'back-new'").run()).toThrow(
      'an epoch never falls',
    );
    db.prepare("DELETE FROM tasks WHERE run_uid = 'back'").run();
    expect(db.prepare('SELECT count(*) AS count FROM attempts').get()).toEqual({ count: 0 });
    db.close();
  });

  test('knows every state, and lets no waiting one be without a deadline', async () => {
    const ledger = await openSqliteLedger({ file });
    await ledger.close();
    const db = openFile();
    db.prepare(insertRun).run('run', 'run');
    const write = db.prepare(
      "INSERT INTO tasks (id, run_uid, step_index, target, spec, tags, local, state, epoch, cancel_requested) VALUES (?, 'run', 0, '', '{}', '[]', 0, ?, 1, 0)",
    );
    const refused = taskStates.filter((state) => {
      try {
        write.run(state, state);
        return false;
      } catch {
        return true;
      }
    });
    // A first Pending has no epoch yet; everything else lacks its deadline, its holder or its end.
    expect(refused).toEqual([...taskStates]);
    db.close();
  });
});
