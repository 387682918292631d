import { describe, expect, test } from 'vitest';
import type { Step, Target } from '@outrider/kinds';
import { aRun, aTarget, aWorkflow, start } from '../testing/builders.ts';
import { freeze } from './freeze.ts';

const ssh: Step = {
  name: 'check',
  node: 'ssh-exec',
  script: 'true',
  target: { host: 'web-1', credential: 'vault:web' },
};
const frozen = (
  steps: readonly Step[],
  over: { targets?: readonly Target[]; workflow?: object; parameters?: Record<string, unknown> } = {},
) => {
  const spec = {
    workflowRef: { name: 'restart' },
    ...(over.parameters ? { parameters: over.parameters } : {}),
  };
  return freeze({
    run: aRun({ spec }),
    workflow: aWorkflow({ steps: [...steps], ...over.workflow }),
    targets: over.targets ?? [],
    now: start,
  });
};
const tasks = (result: ReturnType<typeof freeze>) => {
  if (result.outcome !== 'Frozen') throw new Error(`${result.outcome}: ${result.message}`);
  return result.tasks;
};

describe('where a step acts', () => {
  test('an inline target keeps its credential, and a step without a name is step-N', () => {
    const { name: _, ...nameless } = ssh;
    const [task] = tasks(frozen([nameless]));
    expect(task?.spec).toMatchObject({
      step: 'step-1',
      connection: { host: 'web-1' },
      credential: 'vault:web',
      timeoutMs: 3_600_000,
    });
    expect(task?.target).toBe('');
  });

  test('the host key of an inline target comes from a Target with that host and port', () => {
    const target = aTarget('web', { type: 'SSH', host: 'web-1', port: 22, hostKey: 'SHA256:abc' });
    expect(tasks(frozen([ssh], { targets: [target] }))[0]?.spec.connection?.hostKey).toBe('SHA256:abc');
    const elsewhere = aTarget('web', { type: 'SSH', host: 'web-1', port: 2222, hostKey: 'SHA256:abc' });
    expect(tasks(frozen([ssh], { targets: [elsewhere] }))[0]?.spec.connection?.hostKey).toBeUndefined();
  });

  test('a kubectl context that is the name of a Target takes credential and namespace from it', () => {
    const target = aTarget('prod-eks', {
      type: 'Kubernetes',
      credential: 'vault:eks',
      namespace: 'payments',
      runner: { tags: ['eks'] },
    });
    const step: Step = { node: 'kubectl-exec', command: 'kubectl get pods', target: { context: 'prod-eks' } };
    const [task] = tasks(frozen([step], { targets: [target] }));
    expect(task?.spec.connection).toEqual({ name: 'prod-eks', namespace: 'payments' });
    expect(task?.spec.credential).toBe('vault:eks');
    expect(task?.tags).toEqual(['eks']);
  });

  test('a selector becomes one task for each Target, in the order of their names', () => {
    const web = (name: string) => aTarget(name, { type: 'SSH', host: name }, { role: 'web' });
    const step: Step = {
      name: 'check',
      node: 'ssh-exec',
      script: 'true',
      targets: { matchLabels: { role: 'web' } },
    };
    const result = frozen([step], {
      targets: [web('web-2'), web('web-1'), aTarget('db', { type: 'SSH', host: 'db' })],
    });
    expect(tasks(result).map((task) => [task.target, task.spec.connection?.host])).toEqual([
      ['web-1', 'web-1'],
      ['web-2', 'web-2'],
    ]);
  });

  test('a missing Target is waited for, and a selector that matches none is refused, each with what to do', () => {
    expect(frozen([{ ...ssh, target: { name: 'web-9' } }])).toEqual({
      outcome: 'Waiting',
      reason: 'TargetNotFound',
      message: 'Step check needs the Target web-9, which namespace payments does not have.',
    });
    expect(
      frozen([{ name: 'check', node: 'ssh-exec', script: 'true', targets: { matchLabels: { role: 'x' } } }]),
    ).toEqual({
      outcome: 'Refused',
      reason: 'NoTargets',
      message:
        'Step check selects no Target of namespace payments. Compare its targets with the labels that `kubectl -n payments get targets --show-labels` shows, then start a new run.',
    });
  });
});

describe('who may take a step', () => {
  test("the workflow's tags are replaced by the step's and joined with the target's", () => {
    const target = aTarget('web-1', { type: 'SSH', host: 'web-1', runner: { tags: ['dmz'] } });
    const step: Step = { ...ssh, target: { name: 'web-1' } };
    const runner = { runner: { tags: ['production'] } };
    expect(tasks(frozen([step], { targets: [target], workflow: runner }))[0]?.tags).toEqual([
      'production',
      'dmz',
    ]);
    expect(
      tasks(frozen([{ ...step, runner: { tags: ['canary'] } }], { targets: [target], workflow: runner }))[0]
        ?.tags,
    ).toEqual(['canary', 'dmz']);
  });

  test('the tag local is reserved: only `local: true` asks for a local runner', () => {
    expect(tasks(frozen([{ ...ssh, runner: { tags: ['local', 'x'] } }]))[0]).toMatchObject({
      tags: ['x'],
      local: false,
    });
    expect(tasks(frozen([{ ...ssh, runner: { local: true } }]))[0]).toMatchObject({
      tags: ['local'],
      local: true,
    });
  });
});

describe('parameters', () => {
  const workflow = {
    parameters: [
      { name: 'count', type: 'Integer' as const, required: true },
      { name: 'deploy-env', value: 'staging', options: ['staging', 'prod'] },
    ],
  };
  test('reach the script as environment, defaults included', () => {
    const [task] = tasks(frozen([ssh], { workflow, parameters: { count: 3 } }));
    expect(task?.spec.input.env).toEqual({ OUTRIDER_PARAM_COUNT: '3', OUTRIDER_PARAM_DEPLOY_ENV: 'staging' });
  });

  test.each([
    [
      { count: 'three' },
      'parameter "count" is of type Integer and needs a whole number, without quotes, not "three"',
    ],
    [{}, 'parameter "count" is required'],
    [{ count: 1, 'deploy-env': 'moon' }, 'parameter "deploy-env" must be one of staging, prod, not "moon"'],
    [{ count: 1, colour: 'red' }, 'the workflow has no parameter "colour" (it has count, deploy-env)'],
  ])('%j is refused with its own words', (parameters, words) => {
    expect(frozen([ssh], { workflow, parameters })).toEqual({
      outcome: 'Refused',
      reason: 'InvalidParameters',
      message: `Cannot start: ${words}. Correct spec.parameters in a new run.`,
    });
  });
});

test('the identity of a run leaves desiredState out', () => {
  const digest = (desiredState?: 'Running' | 'Cancelled') => {
    const spec = { workflowRef: { name: 'restart' }, ...(desiredState ? { desiredState } : {}) };
    const result = freeze({ run: aRun({ spec }), workflow: aWorkflow(), targets: [], now: start });
    return result.outcome === 'Frozen' ? result.run.specDigest : result.outcome;
  };
  expect(digest('Running')).toBe(digest());
  expect(digest()).toMatch(/^[0-9a-f]{64}$/);
});

describe('what happens to failed and lost work', () => {
  const verify = { script: 'test -f /done', timeout: '30s' };
  const lost: Step = {
    ...ssh,
    retry: { limit: 3 },
    onLost: 'Verify',
    verify,
    detach: false,
    env: { A: '1' },
  };

  test('goes along with the task: policy, retries, and a probe with the same node, target and credential', () => {
    const [task] = tasks(frozen([lost]));
    expect(task).toMatchObject({
      spec: { onLost: 'Verify', detach: false },
      retry: { limit: 3, delayMs: 10_000 },
      verify: {
        step: 'check',
        node: 'ssh-exec',
        connection: { host: 'web-1' },
        credential: 'vault:web',
        input: { script: 'test -f /done', env: { A: '1' } },
        timeoutMs: 30_000,
      },
    });
    expect(task?.verify).not.toHaveProperty('onLost');
  });

  test('a probe of kubectl-exec is a command', () => {
    const step: Step = {
      node: 'kubectl-exec',
      command: 'kubectl apply -f x',
      onLost: 'Verify',
      verify: { script: 'kubectl get x' },
      target: { context: 'prod' },
    };
    expect(tasks(frozen([step]))[0]?.verify).toMatchObject({
      input: { command: 'kubectl get x' },
      timeoutMs: 3_600_000,
    });
    expect(tasks(frozen([step]))[0]?.verify?.input).not.toHaveProperty('script');
  });

  test('a step that says nothing has neither', () => {
    const [task] = tasks(frozen([ssh]));
    expect(Object.keys(task ?? {})).toEqual(['id', 'stepIndex', 'target', 'spec', 'tags', 'local']);
    expect(task?.spec).not.toHaveProperty('onLost');
  });
});

describe('limits', () => {
  test('a Target that limits its attempts locks every task on it, under its name in its namespace', () => {
    const spec: Target['spec'] = { type: 'SSH', host: 'db', maxParallel: 2, hostKeyPolicy: 'AcceptNew' };
    const step: Step = { node: 'ssh-exec', script: 'true', target: { name: 'db' } };
    const [task] = tasks(frozen([step], { targets: [aTarget('db', spec)] }));
    expect(task?.lock).toEqual({ key: 'target/payments/db', max: 2 });
    expect(task?.spec.connection).toEqual({ name: 'db', host: 'db', hostKeyPolicy: 'AcceptNew' });
  });

  test('the priority of a run is its own, else its workflow’s, else 0', () => {
    const priority = (own?: number, ofWorkflow?: number) => {
      const result = freeze({
        run: aRun({
          spec: { workflowRef: { name: 'restart' }, ...(own === undefined ? {} : { priority: own }) },
        }),
        workflow: aWorkflow({ steps: [ssh], ...(ofWorkflow === undefined ? {} : { priority: ofWorkflow }) }),
        targets: [],
        now: start,
      });
      return result.outcome === 'Frozen' && result.run.priority;
    };
    expect([priority(), priority(undefined, 5), priority(-1, 5), priority(0, 5)]).toEqual([0, 5, -1, 0]);
  });
});
