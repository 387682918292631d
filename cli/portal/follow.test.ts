import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LineView } from '@outrider/portal';
import { CliError } from '../errors.ts';
import type { HttpAnswer } from '../http.ts';
import { followLog, type FollowOptions } from './follow.ts';

const lineOf = (line: number): LineView => ({
  task: 't',
  epoch: 1,
  step: 'one',
  target: '',
  line,
  stream: 'stdout',
  at: '2026-11-22T12:00:00Z',
  text: `line ${line} ü`,
});
const eventOf = (name: string, data: unknown): string => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
const ended = eventOf('run', { phase: 'Succeeded', finishedAt: '2026-11-22T12:00:00Z' });
const cut = (): CliError =>
  new CliError({ code: 'Unreachable', message: 'cut', action: '' }, { transient: true });

/** A log of some lines, whose connections are cut after so many bytes each; the last one is not. */
const portalWith = (lines: number, cuts: readonly number[]) => {
  const asked: URLSearchParams[] = [];
  const open = async (path: string): Promise<HttpAnswer> => {
    const query = new URL(path, 'https://portal').searchParams;
    asked.push(query);
    const at = query.get('after')?.split('.')[2];
    const from = at === undefined ? 0 : Number(at) + 1;
    const rest = Array.from({ length: lines - from }, (_, index) => eventOf('line', lineOf(from + index)));
    const bytes = Buffer.from(`: keepalive\n\n${rest.join('')}${ended}`);
    const limit = cuts[asked.length - 1];
    const body = async function* () {
      yield bytes.subarray(0, limit);
      if (limit !== undefined && limit < bytes.length) throw cut();
    };
    return { status: 200, headers: {}, body: body() };
  };
  return { open, asked };
};

const collect = async (options: Partial<FollowOptions> & Pick<FollowOptions, 'portal'>) => {
  const lines: number[] = [];
  const other: string[] = [];
  const whole: FollowOptions = { namespace: 'n', run: 'r', signal: new AbortController().signal, ...options };
  for await (const event of followLog(whole)) {
    if (event.type === 'line') lines.push(event.line.line);
    else other.push(event.type);
  }
  return { lines, other };
};

test('wherever connections are cut, every line comes once and in order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(12), fc.array(fc.nat(1500), { maxLength: 2 }), async (count, cuts) => {
      const { lines, other } = await collect({ portal: portalWith(count, cuts) });
      expect(lines).toEqual(Array.from({ length: count }, (_, index) => index));
      expect(other.at(-1)).toBe('run');
    }),
    { numRuns: 20 },
  );
});

test('a connection goes on behind the last line of the one before', async () => {
  const portal = portalWith(3, [2 * eventOf('line', lineOf(0)).length + 20]);
  expect((await collect({ portal })).other).toEqual(['interrupted', 'run']);
  expect(portal.asked.map((query) => query.get('after'))).toEqual([null, 't.1.1']);
});

test('a stream that ends before the run has, as when a server stops, is taken up again', async () => {
  const portal = portalWith(2, []);
  let first = true;
  const open = async (path: string): Promise<HttpAnswer> => {
    if (!first) return portal.open(path);
    first = false;
    const body = async function* () {
      yield Buffer.from(eventOf('line', lineOf(0)));
    };
    return { status: 200, headers: {}, body: body() };
  };
  expect((await collect({ portal: { open } })).lines).toEqual([0, 1]);
  expect(portal.asked[0]?.get('after')).toBe('t.1.0');
});

test('a refusal is final', async () => {
  const refusal = new CliError({ code: 'Forbidden', message: 'No.', action: '' });
  const open = async (): Promise<HttpAnswer> => {
    throw refusal;
  };
  await expect(collect({ portal: { open } })).rejects.toBe(refusal);
  const problem = portalProblem({ code: 'Forbidden', message: 'No longer.', action: 'Ask.' });
  await expect(collect({ portal: { open: problem } })).rejects.toMatchObject({
    code: 'Forbidden',
    message: 'No longer.',
    action: 'Ask.',
  });
});

const portalProblem = (problem: object) => async (): Promise<HttpAnswer> => ({
  status: 200,
  headers: {},
  body: (async function* () {
    yield Buffer.from(eventOf('problem', problem));
  })(),
});

test('a run that the portal has not heard of yet is waited for, but not for ever', async () => {
  const portal = portalWith(1, []);
  let tries = 0;
  let time = 0;
  const missing = new CliError({ code: 'NotFound', message: 'no run', action: '' });
  const open = async (path: string): Promise<HttpAnswer> => {
    tries += 1;
    if (tries < 3) throw missing;
    return portal.open(path);
  };
  expect(await collect({ portal: { open }, appearsWithinMs: 5000 })).toEqual({ lines: [0], other: ['run'] });
  const never = async (): Promise<HttpAnswer> => {
    time += 3000;
    throw missing;
  };
  await expect(collect({ portal: { open: never }, appearsWithinMs: 5000, now: () => time })).rejects.toBe(
    missing,
  );
});

test('without any contact for ten minutes the failure is told', async () => {
  let time = 0;
  const failure = cut();
  const open = async (): Promise<HttpAnswer> => {
    time += 301_000;
    throw failure;
  };
  await expect(collect({ portal: { open }, now: () => time })).rejects.toBe(failure);
});

test('one step is over when its tasks have ended, its log is read, and a second connection says so too', async () => {
  const task = { id: 't', epoch: 1, state: 'Succeeded', log: { lines: 1, bytes: 9, end: 'Complete' } };
  const streams = [
    eventOf('task', { ...task, state: 'Running', log: { ...task.log, end: 'Open' } }),
    eventOf('task', task),
    eventOf('line', lineOf(0)) + eventOf('task', task),
    eventOf('task', task),
  ];
  const asked: string[] = [];
  const open = async (path: string): Promise<HttpAnswer> => {
    const stream = streams[asked.length] ?? '';
    asked.push(path);
    return {
      status: 200,
      headers: {},
      body: (async function* () {
        yield Buffer.from(stream);
      })(),
    };
  };
  expect((await collect({ portal: { open }, step: 'one' })).lines).toEqual([0]);
  expect(asked).toHaveLength(4);
  expect(asked[3]).toBe('/api/v1/namespaces/n/workflowruns/r/log?follow=true&after=t.1.0&step=one');
});

test('aborting ends it without a word', async () => {
  const stop = new AbortController();
  stop.abort();
  expect(await collect({ portal: portalWith(3, []), signal: stop.signal })).toEqual({ lines: [], other: [] });
});
