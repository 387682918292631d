import { readFileSync, statSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startPostgres, type Postgres } from '../servers/postgres.ts';

let postgres: Postgres;
beforeAll(async () => {
  postgres = await startPostgres({ settings: { max_connections: '40' } });
});
afterAll(() => postgres?.stop());

test('a PostgreSQL server is durable, has the settings that were asked for, and does not run as root', async () => {
  const settings = await postgres.query(
    "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'max_connections') ORDER BY name",
  );
  expect(settings).toEqual([
    { name: 'fsync', setting: 'on' },
    { name: 'max_connections', setting: '40' },
    { name: 'synchronous_commit', setting: 'on' },
  ]);
  expect(statSync(postgres.dataFolder).uid).not.toBe(0);
  expect(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${postgres.pid()}/status`, 'utf8'))?.[1]).not.toBe('0');
});

test('what was committed is there after a power cut, a restart and a promotion, which begins a new timeline', async () => {
  const url = await postgres.createDatabase();
  const database = new URL(url).pathname.slice(1);
  const timeline = async () =>
    (await postgres.query('SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS timeline'))[0]?.[
      'timeline'
    ];
  await postgres.query('CREATE TABLE kept (n integer); INSERT INTO kept VALUES (1)', database);
  await postgres.kill();
  await postgres.start();
  await postgres.query('INSERT INTO kept VALUES (2)', database);
  await postgres.restart();
  expect(await timeline()).toBe('00000001');
  await postgres.promote();
  expect(await timeline()).toBe('00000002');
  expect(await postgres.query('SELECT n FROM kept ORDER BY n', database)).toEqual([{ n: 1 }, { n: 2 }]);
});
