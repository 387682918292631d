import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openCluster } from '../servers/cluster.ts';
import { run, type CommandResult } from '../servers/command.ts';
import { Footprint } from '../servers/footprint.ts';
import { repositoryRoot } from '../servers/paths.ts';
import { machine, processesWith } from './machine.ts';

const isRoot = process.getuid?.() === 0;

describe.runIf(process.platform === 'linux' && isRoot)('make demo', () => {
  const state = mkdtempSync(join(tmpdir(), 'outrider-demo-test-'));
  const folder = join(state, 'demo');
  const digest = createHash('sha256').update(join(folder, 'runner-prod-runner-1')).digest('hex');
  /** Where the runner puts secrets that a tool takes only as a file. */
  const inMemory = `/dev/shm/outrider-runner-0-${digest.slice(0, 12)}`;
  let before: Record<string, string> = {};

  const command = async (name: string): Promise<CommandResult> =>
    run(process.execPath, ['--conditions=development', join(repositoryRoot, 'test/demo', name)], {
      env: { OUTRIDER_STATE: state },
      timeoutMs: 170_000,
    });

  beforeAll(async () => {
    before = await machine();
  });
  afterAll(async () => {
    await command('down.ts');
    rmSync(state, { recursive: true, force: true });
  });

  const runPhases = async (): Promise<string> => {
    const footprint = Footprint.load(folder);
    const cluster = footprint && openCluster(footprint);
    if (!cluster) throw new Error(`${folder} describes no cluster`);
    const phases = '-o=jsonpath={.items[*].status.phase}';
    return cluster.controlPlane.mustKubectl(['-n', 'operations', 'get', 'workflowruns', phases]);
  };

  test.each(['once', 'a second time, over the first'])(
    'runs both steps %s, and keeps running',
    async () => {
      const { code, stdout, stderr } = await command('up.ts');
      expect(code, `${stdout}\n${stderr}`).toBe(0);
      expect(stdout).toMatch(/^inspect .*Server: prod-server$/m);
      expect(stdout).toMatch(/^restart .*deployment "payment-service" successfully rolled out$/m);
      expect(stdout).toContain('It keeps running.');
      expect(await runPhases()).toBe('Succeeded');
      expect(existsSync(inMemory)).toBe(true);
    },
    180_000,
  );

  test('leaves no process, mount, interface, rule, control group or file after make demo-down', async () => {
    const down = await command('down.ts');
    expect(down).toMatchObject({ code: 0, stderr: '' });
    expect(await machine()).toEqual(before);
    expect(await processesWith(folder)).toEqual([]);
    expect([folder, inMemory].filter((path) => existsSync(path))).toEqual([]);
    expect((await command('down.ts')).stdout).toBe('No demo is running.\n');
  });
});
