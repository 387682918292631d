import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { Footprint } from './footprint.ts';
import { isRunning, startTimeOf } from './pids.ts';
import { startProcess } from './process.ts';

const folders: string[] = [];
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true, force: true })));

function stateFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'outrider-footprint-test-'));
  folders.push(folder);
  return join(folder, 'state');
}

test('a later process ends exactly what an earlier one listed', async () => {
  const folder = stateFolder();
  const first = Footprint.lasting(folder);
  const server = await startProcess(first, { name: 'sleeper', command: 'sleep', args: ['600'] });
  first.note('address', { port: 1 });

  const second = Footprint.load(folder);
  expect(second?.traces.map((trace) => trace.kind)).toEqual(['folder', 'process']);
  expect(second?.fact('address')).toEqual({ port: 1 });
  expect(second?.ended()).toEqual([]);
  await second?.end();
  expect(server.running()).toBe(false);
  expect(existsSync(folder)).toBe(false);
});

test('a folder without a footprint was never started in', () => {
  expect(Footprint.load(stateFolder())).toBeUndefined();
});

test('a process that was given the pid of an ended one is left alone', async () => {
  const stranger = spawn('sleep', ['600'], { stdio: 'ignore' });
  const pid = stranger.pid ?? 0;
  const startTime = startTimeOf(pid) ?? '';
  const footprint = Footprint.lasting(stateFolder());
  footprint.add({ kind: 'process', name: 'old', pid, startTime: 'earlier', log: '', stopSignal: 'SIGKILL' });
  expect(footprint.ended()).toEqual(['old']);
  await footprint.end();
  expect(isRunning({ pid, startTime })).toBe(true);
  stranger.kill('SIGKILL');
  await once(stranger, 'exit');
  expect(isRunning({ pid, startTime })).toBe(false);
});

test('what cannot be taken back stays in the list, and so does the folder that describes it', async () => {
  const folder = stateFolder();
  const footprint = Footprint.lasting(folder);
  const group = join(folder, 'not-a-control-group');
  mkdirSync(group);
  writeFileSync(join(group, 'file'), '');
  footprint.add({ kind: 'cgroup', path: group });
  const problem =
    /not everything was taken back; .*footprint\.json lists what is left:\ncannot remove the control group/;
  await expect(footprint.end()).rejects.toThrow(problem);
  expect(Footprint.load(folder)?.traces.map((trace) => trace.kind)).toEqual(['folder', 'cgroup']);
  rmSync(join(group, 'file'));
  await footprint.end();
  expect(existsSync(folder)).toBe(false);
});

test('a footprint of another version is refused', () => {
  const folder = stateFolder();
  Footprint.lasting(folder);
  const path = join(folder, 'footprint.json');
  writeFileSync(path, readFileSync(path, 'utf8').replace('"version": 1', '"version": 99'));
  expect(() => Footprint.load(folder)).toThrow('has version 99, this program reads version 1');
});

test('what a killed process left behind is swept up, and what a running one uses is not', async () => {
  const used = Footprint.temporary('footprint-test');
  const abandoned = Footprint.temporary('footprint-test');
  const server = await startProcess(abandoned, { name: 'sleeper', command: 'sleep', args: ['600'] });
  const path = join(abandoned.folder, 'footprint.json');
  const file = JSON.parse(readFileSync(path, 'utf8')) as object;
  writeFileSync(path, JSON.stringify({ ...file, owner: { pid: process.pid, startTime: 'earlier' } }));
  await Footprint.sweep();
  expect(server.running()).toBe(false);
  expect(existsSync(abandoned.folder)).toBe(false);
  expect(existsSync(used.folder)).toBe(true);
  await used.end();
});
