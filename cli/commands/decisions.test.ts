import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { groupPath, Installation, kubeStatus } from '../testing/installation.ts';
import type { Reply } from '../testing/site.ts';

let installation: Installation;
beforeEach(async () => {
  installation = await Installation.start();
});
afterEach(() => installation.close());

describe('decide', () => {
  const words = ['decide', 'patch-x1', 'reboot', '--attempt', '2', '--retry', '--reason', 'uptime 40 days'];
  const applied = (condition: object): Reply => ({
    json: {
      metadata: { name: 'patch-x1-7k', namespace: 'team-a' },
      status: { conditions: [{ type: 'Applied', ...condition }] },
    },
  });
  let verdict: Reply;
  beforeEach(() => {
    verdict = applied({ status: 'True', reason: 'Applied', message: 'Done.' });
    installation.kube = ({ method, path }) => {
      if (method === 'POST')
        return { status: 201, json: { metadata: { name: 'patch-x1-7k', namespace: 'team-a' } } };
      if (path.includes('/rundecisions/')) return verdict;
      return {
        json: { metadata: { name: 'patch-x1', uid: 'u-1' }, spec: { workflowRef: { name: 'patch' } } },
      };
    };
  });

  it('creates a RunDecision as the user, for the run as it is, and says that it is applied', async () => {
    expect(await installation.call(...words, '--target', 'web-1')).toEqual({
      code: 0,
      out: 'patch-x1-7k\n',
      err: 'Applied: Retry. To see the run go on: kubectl outrider logs patch-x1 -n team-a -f\n',
    });
    const created = installation.kubeSite.seen.find(({ path }) => path.endsWith('/rundecisions'));
    expect([created?.method, created?.path]).toEqual(['POST', `${groupPath}/team-a/rundecisions`]);
    const run = { apiVersion: 'outrider.dev/v1alpha1', kind: 'WorkflowRun', name: 'patch-x1', uid: 'u-1' };
    expect(JSON.parse(created?.body ?? '')).toEqual({
      apiVersion: 'outrider.dev/v1alpha1',
      kind: 'RunDecision',
      metadata: { generateName: 'patch-x1-', ownerReferences: [run] },
      spec: {
        runRef: { name: 'patch-x1', uid: 'u-1' },
        workflow: 'patch',
        step: 'reboot',
        target: 'web-1',
        attempt: 2,
        decision: 'Retry',
        reason: 'uptime 40 days',
        decidedBy: 'ann',
      },
    });
  });

  it('waits for the operator', async () => {
    let asked = 0;
    const answer = verdict;
    const before = installation.kube;
    installation.kube = (seen, response) => {
      if (!seen.path.includes('/rundecisions/')) return before(seen, response);
      asked += 1;
      return asked < 3 ? { json: { metadata: { name: 'patch-x1-7k' } } } : answer;
    };
    expect((await installation.call(...words)).code).toBe(0);
    expect(asked).toBe(3);
  });

  it("fails with the operator's words when the decision is not applied", async () => {
    verdict = applied({ status: 'False', reason: 'EpochMismatch', message: 'It is at attempt 3.' });
    expect(await installation.call(...words)).toEqual({
      code: 1,
      out: '',
      err:
        'error EpochMismatch: It is at attempt 3.\n' +
        '  → See `kubectl outrider describe patch-x1 -n team-a`.\n',
    });
  });

  it('is done, too, for who may decide and not read decisions', async () => {
    verdict = kubeStatus(403, 'Forbidden', 'may not get');
    expect(await installation.call(...words)).toEqual({
      code: 0,
      out: 'patch-x1-7k\n',
      err: 'Decided, and not applied yet. To see what became of it: kubectl -n team-a get rundecision patch-x1-7k -o wide\n',
    });
  });

  it.each([
    [['--attempt', '1', '--reason', 'x'], 'Nothing is decided.'],
    [['--attempt', '1', '--reason', 'x', '--failed', '--retry'], '--failed and --retry exclude each other.'],
    [['--failed', '--reason', 'x'], 'The attempt that is decided on is not given.'],
    [['--attempt', '0', '--failed', '--reason', 'x'], '--attempt is "0".'],
    [['--attempt', '1', '--failed'], 'No reason is given.'],
    [['--attempt', '1', '--failed', '--reason', ' '], 'No reason is given.'],
  ])('refuses %j', async (options, message) => {
    const { code, err } = await installation.call('decide', 'patch-x1', 'reboot', ...options);
    expect(code).toBe(2);
    expect(err).toContain(`error Usage: ${message}\n  → `);
    expect(installation.kubeSite.seen).toEqual([]);
  });
});

describe('recovery', () => {
  const map = '/api/v1/namespaces/outrider-system/configmaps/outrider-ledger';
  let ledger: object;
  const run = {
    metadata: { name: 'patch-x1', namespace: 'team-b' },
    status: {
      steps: [
        { name: 'check', phase: 'Succeeded' },
        { name: 'reboot', phase: 'AwaitingHuman', attempts: 2, message: 'Nobody knows.' },
      ],
    },
  };
  beforeEach(() => {
    const since = '2026-11-22T12:00:00.000Z';
    const data = { generation: 'g-7', state: 'Recovery', since, reason: 'It is at 5, and was at 9.' };
    ledger = { metadata: {}, data };
    installation.kube = ({ path }) => (path === map ? { json: ledger } : { json: { items: [run] } });
  });

  it('says what it is, why, what is unclear, and what to do', async () => {
    const { code, out, err } = await installation.call('recovery');
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain('The ledger is in recovery: it was put back from a copy');
    expect(out).toContain(
      'Generation: g-7\nSince: 2026-11-22T12:00:00.000Z\nReason: It is at 5, and was at 9.\n',
    );
    expect(out).toContain(
      'NAMESPACE   RUN        STEP     ATTEMPT   MESSAGE\nteam-b      patch-x1   reboot   2         Nobody knows.\n',
    );
    expect(out).toContain('  kubectl outrider recovery confirm\nlets work go on.\n');
  });

  it('shows the runs of one namespace to who may list no other', async () => {
    const before = installation.kube;
    installation.kube = (seen, response) =>
      seen.path === '/apis/outrider.dev/v1alpha1/workflowruns'
        ? kubeStatus(403, 'Forbidden', 'not all')
        : before(seen, response);
    const { out, err } = await installation.call('recovery');
    expect(out).toContain('reboot');
    expect(err).toBe('You may not list the runs of every namespace: those of team-a alone are shown.\n');
  });

  it('says that there is none', async () => {
    ledger = { metadata: {}, data: { generation: 'g-7', state: 'Normal' } };
    const before = installation.kube;
    installation.kube = (seen, response) =>
      seen.path === map ? before(seen, response) : { json: { items: [] } };
    expect(await installation.call('recovery')).toEqual({
      code: 0,
      out: 'The ledger (generation g-7) is not in recovery: work goes on as usual.\n\nNo step waits for a person.\n',
      err: '',
    });
    expect(await installation.call('recovery', 'confirm')).toEqual({
      code: 0,
      out: '',
      err: 'The ledger is not in recovery: there is nothing to confirm.\n',
    });
  });

  it('confirm annotates the generation, and prints it', async () => {
    const { code, out } = await installation.call('recovery', 'confirm');
    expect([code, out]).toEqual([0, 'g-7\n']);
    const patch = installation.kubeSite.seen.at(-1);
    expect([patch?.method, patch?.path, patch?.body]).toEqual([
      'PATCH',
      map,
      '{"metadata":{"annotations":{"outrider.dev/recovery-confirmed":"g-7"}}}',
    ]);
  });

  it('confirm says that it was confirmed before', async () => {
    ledger = { ...ledger, metadata: { annotations: { 'outrider.dev/recovery-confirmed': 'g-7' } } };
    expect(await installation.call('recovery', 'confirm')).toEqual({
      code: 0,
      out: '',
      err: 'Recovery of generation g-7 is confirmed already; the operator ends it within seconds.\n',
    });
    expect(installation.kubeSite.seen.every(({ method }) => method === 'GET')).toBe(true);
  });

  it('names the place where the ConfigMap was looked for', async () => {
    installation.kube = () => kubeStatus(404, 'NotFound', 'not found');
    const { code, err } = await installation.call('recovery', 'confirm', '--outrider-namespace', 'ops');
    expect(code).toBe(1);
    expect(err).toContain('error NotFound: There is no ConfigMap outrider-ledger in namespace ops.\n');
  });
});
