import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { groupPath, Installation, kubeStatus } from '../testing/installation.ts';

let installation: Installation;
beforeEach(async () => {
  installation = await Installation.start();
});
afterEach(() => installation.close());

describe('run', () => {
  const workflow = { spec: { parameters: [{ name: 'batch', type: 'Integer' }] } };
  beforeEach(() => {
    installation.kube = (seen) => {
      if (seen.method === 'GET') return { json: workflow };
      return { status: 201, json: { metadata: { name: 'patch-x1', namespace: 'team-a' } } };
    };
  });

  it('creates a WorkflowRun as the user, with typed parameters, and prints its name', async () => {
    expect(await installation.call('run', 'patch', '-p', 'batch=10', '--start-deadline', '1h')).toEqual({
      code: 0,
      out: 'patch-x1\n',
      err: '',
    });
    const created = installation.kubeSite.seen.find(
      ({ method, path }) => method === 'POST' && path.endsWith('/workflowruns'),
    );
    expect(created?.path).toBe(`${groupPath}/team-a/workflowruns`);
    expect(created?.query.get('fieldValidation')).toBe('Strict');
    expect(JSON.parse(created?.body ?? '')).toEqual({
      apiVersion: 'outrider.dev/v1alpha1',
      kind: 'WorkflowRun',
      metadata: { generateName: 'patch-' },
      spec: {
        workflowRef: { name: 'patch' },
        parameters: { batch: 10 },
        startDeadline: '1h',
        requestedBy: 'ann',
      },
    });
  });

  it('gives the run a priority, below 0 too', async () => {
    expect((await installation.call('run', 'patch', '--priority', '-5')).code).toBe(0);
    const created = installation.kubeSite.seen.at(-1);
    expect(JSON.parse(created?.body ?? '')).toMatchObject({ spec: { priority: -5 } });
  });

  it.each(['high', '1.5', '1001', '-1001'])('refuses the priority %s', async (priority) => {
    expect(await installation.call('run', 'patch', `--priority=${priority}`)).toEqual({
      code: 2,
      out: '',
      err: `error Usage: --priority is "${priority}".\n  → Give a whole number from -1000 to 1000.\n`,
    });
  });

  it('creates nothing when a parameter is wrong', async () => {
    const { code, out, err } = await installation.call('run', 'patch', '-p', 'batch=ten');
    expect([code, out]).toEqual([1, '']);
    expect(err).toBe(
      'error InvalidParameters: Workflow "patch" was not started: parameter "batch" is of type Integer and needs a whole number, such as 10, not "ten".\n' +
        '  → Correct the -p options. `kubectl -n team-a get workflow patch -o yaml` shows spec.parameters.\n',
    );
    expect(installation.kubeSite.seen.some(({ path }) => path.endsWith('/workflowruns'))).toBe(false);
  });

  it("passes the API server's refusals and warnings on in its own words", async () => {
    installation.kube = (seen) =>
      seen.method === 'GET'
        ? { json: workflow, headers: { warning: '299 - "old \\"thing\\"", 299 - "two"' } }
        : kubeStatus(403, 'Forbidden', 'workflowruns is forbidden:\nann may not');
    expect(await installation.call('run', 'patch')).toEqual({
      code: 1,
      out: '',
      err:
        'Warning: old "thing"\nWarning: two\n' +
        'error Forbidden: workflowruns is forbidden:\nann may not\n' +
        '  → Ask an administrator of the namespace for a Role that permits it.\n',
    });
  });

  it('names the workflow that was probably meant', async () => {
    installation.kube = (seen) =>
      seen.path.endsWith('/workflows')
        ? { json: { items: [{ metadata: { name: 'patch' } }] } }
        : kubeStatus(404, 'NotFound', 'not found');
    expect((await installation.call('run', 'pach')).err).toBe(
      'error WorkflowNotFound: Namespace team-a has no Workflow "pach".\n' +
        '  → Did you mean "patch"? See `kubectl -n team-a get workflows`.\n',
    );
  });

  it.each([
    ['Succeeded', 0],
    ['Failed', 1],
    ['Cancelled', 3],
  ])('--follow shows the log and, when the run %s, ends with %i', async (phase, expected) => {
    const line = { task: 't', epoch: 1, step: 'one', target: '', line: 0, stream: 'stdout', text: 'hi' };
    const run = {
      name: 'patch-x1',
      phase,
      finishedAt: '2026-11-22T12:00:00Z',
      reason: 'Why',
      message: 'So.',
    };
    installation.serve = () => ({
      text: `event: line\ndata: ${JSON.stringify(line)}\n\nevent: run\ndata: ${JSON.stringify(run)}\n\n`,
    });
    const { code, out, err } = await installation.call('run', 'patch', '--follow', '-n', 'team-b');
    expect([code, out]).toEqual([expected, 'one | hi\n']);
    expect(err).toContain(`patch-x1: ${phase}`);
    expect((await installation.call('run', 'patch', '-f', '-q')).err).toBe('');
  });
});

describe('runner token', () => {
  it('prints the token alone into a pipe, and asks for what the options say', async () => {
    installation.serve = () => ({
      status: 201,
      json: { token: 'tok', expiresAt: '2026-11-22T13:00:00Z', url: 'https://r' },
    });
    const words = [
      'runner',
      'token',
      '--tags',
      'a,b',
      '--tags',
      'c',
      '--ttl',
      '1m30s',
      '--local',
      '-n',
      'ops',
    ];
    expect(await installation.call(...words)).toEqual({ code: 0, out: 'tok\n', err: '' });
    const asked = installation.portalSite.seen.at(-1);
    expect([asked?.method, asked?.path]).toEqual(['POST', '/api/v1/namespaces/ops/registrationtokens']);
    expect(JSON.parse(asked?.body ?? '')).toEqual({ tags: ['a', 'b', 'c'], ttlSeconds: 90, local: true });
  });

  it.each(['5', '30s', '2h', '1 h'])('refuses --ttl %s', async (ttl) => {
    const { code, err } = await installation.call('runner', 'token', `--ttl=${ttl}`);
    expect(code).toBe(2);
    expect(err).toMatch(/^error Usage: --ttl /);
  });
});

describe.each([
  ['cancel', 'Cancelled'],
  ['pause', 'Paused'],
  ['resume', 'Running'],
])('%s', (verb, desiredState) => {
  it('sets desiredState by a merge patch and prints the name', async () => {
    installation.kube = () => ({ json: { metadata: { name: 'r' } } });
    expect(await installation.call(verb, 'r', '-q')).toEqual({ code: 0, out: 'r\n', err: '' });
    const patch = installation.kubeSite.seen.at(-1);
    expect([patch?.method, patch?.path, patch?.headers['content-type'], patch?.body]).toEqual([
      'PATCH',
      `${groupPath}/team-a/workflowruns/r`,
      'application/merge-patch+json',
      `{"spec":{"desiredState":"${desiredState}"}}`,
    ]);
  });
});

describe('logs', () => {
  const task = (step: string, end: string, finishedAt?: string) => ({
    id: step,
    step,
    target: '',
    epoch: 1,
    ...(finishedAt === undefined ? {} : { finishedAt }),
    log: { lines: 1, bytes: 1, end },
  });
  const at = '2026-11-22T12:00:00Z';

  it('--raw writes the bytes as they are', async () => {
    const tasks = [task('one', 'Complete', at), task('two', 'Incomplete', at)];
    installation.serve = ({ path }) =>
      path.endsWith('/raw') ? { text: 'a\r\nb\u0000' } : { json: { tasks } };
    expect(await installation.call('logs', 'r', 'one', '--raw')).toEqual({
      code: 0,
      out: 'a\r\nb\u0000',
      err: '',
    });
    const raw = installation.portalSite.seen.find(({ path }) => path.endsWith('/raw'));
    expect(raw?.path).toBe('/api/v1/namespaces/team-a/workflowruns/r/log/raw');
    expect(raw?.query.get('step')).toBe('one');
  });

  it('--raw says which logs lack bytes', async () => {
    const tasks = [
      task('one', 'Complete', at),
      task('two', 'Incomplete', at),
      task('three', 'Open', at),
      task('four', 'Open'),
    ];
    installation.serve = ({ path }) => (path.endsWith('/raw') ? { text: 'a' } : { json: { tasks } });
    expect(await installation.call('logs', 'r', '--raw', '-q')).toEqual({
      code: 0,
      out: 'a',
      err:
        'Warning: the log of two is incomplete: bytes of it never arrived, or were left out.\n' +
        'Warning: the log of three has no end yet: bytes of it may still be on the way.\n' +
        'Warning: the log of four goes on: the step still executes.\n',
    });
  });

  it('--attempt asks for one attempt only, and not while following', async () => {
    installation.serve = () => ({ text: '' });
    for (const words of [
      ['--attempt', '2'],
      ['--attempt', '2', '--raw'],
    ]) {
      expect((await installation.call('logs', 'r', ...words)).code).toBe(0);
      expect(installation.portalSite.seen.at(-1)?.query.get('attempt')).toBe('2');
    }
    const { code, err } = await installation.call('logs', 'r', '--attempt', '2', '-f');
    expect([code, err]).toEqual([
      2,
      'error Usage: --attempt does not go with --follow.\n  → --follow shows every attempt; leave one out.\n',
    ]);
  });

  it('--raw that breaks off is an error, not an end', async () => {
    installation.serve = (_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('begin', () => response.destroy());
      return undefined;
    };
    const { code, out, err } = await installation.call('logs', 'r', '--raw');
    expect([code, out]).toEqual([1, 'begin']);
    expect(err).toMatch(/^error Unreachable: The log broke off after 5 bytes: /);
  });

  it("passes the portal's refusals on", async () => {
    installation.serve = () => ({ status: 403, json: { code: 'Forbidden', message: 'No.', action: 'Ask.' } });
    expect(await installation.call('logs', 'r')).toEqual({
      code: 1,
      out: '',
      err: 'error Forbidden: No.\n  → Ask.\n',
    });
  });
});
