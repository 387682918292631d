import { execute } from '@outrider/nodes/kubectl-exec/execute';
import { testContext, type TestContext, type TestContextOptions } from '@outrider/nodes/test-context';
import { OutriderError, type NodeInput } from '@outrider/protocol';
import { processEntry } from '@outrider/transports/process-table';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { binary } from '../servers/binaries.ts';
import { waitFor } from '../servers/wait.ts';
import { useNamespace } from './cluster.ts';

const cluster = useNamespace('kubectl-exec');
let kubectl: string;
let kubeconfig: string;
beforeAll(async () => {
  kubectl = await binary('kubectl');
  kubeconfig = readFileSync(cluster.controlPlane.adminKubeconfig, 'utf8');
});

function attempt(input: NodeInput, { machine, ...more }: Partial<TestContextOptions> = {}): TestContext {
  return testContext({
    node: 'kubectl-exec',
    input,
    connection: { namespace: cluster.namespace },
    credential: { kubeconfig },
    machine: { kubectl, localExec: false, ...machine },
    ...more,
  });
}

async function refusal({ context }: TestContext): Promise<string> {
  const error: unknown = await execute(context).catch((reason: unknown) => reason);
  return error instanceof OutriderError ? `${error.code}: ${error.message}` : JSON.stringify(error);
}

describe('kubectl calls, one a line', () => {
  test('act in the pinned namespace, each shown before its output', async () => {
    const run = attempt({
      command:
        "kubectl create configmap greeting --from-literal='text=hello world'\nkubectl get configmap greeting \\\n  -o 'jsonpath={.metadata.namespace}/{.data.text}'\n",
    });
    expect(await execute(run.context)).toEqual({ outcome: 'Succeeded', exitCode: 0 });
    expect(run.stdout()).toBe(`configmap/greeting created\n${cluster.namespace}/hello world`);
    expect(run.notes).toEqual([
      `using context ${/current-context: (.*)/.exec(kubeconfig)?.[1]} of the credential`,
      "+ kubectl create configmap greeting '--from-literal=text=hello world'",
      '+ kubectl get configmap greeting -o jsonpath={.metadata.namespace}/{.data.text}',
    ]);
  });

  test('end at the first that fails, with its exit code and its words', async () => {
    const run = attempt({ command: 'kubectl get configmap absent\nkubectl create configmap never' });
    expect(await execute(run.context)).toEqual({
      outcome: 'Failed',
      exitCode: 1,
      reason: 'NonZeroExit',
      message: 'kubectl on line 1 ended with exit code 1.',
    });
    expect(run.stderr()).toBe('Error from server (NotFound): configmaps "absent" not found\n');
    expect((await cluster.kubectl(['get', 'configmap', 'never'])).code).toBe(1);
  });

  test('leave no kubeconfig behind, and had it 0600 in a private folder', async () => {
    const run = attempt(
      { command: 'kubectl get pods' },
      {
        onHandle: (handle) => {
          const environment = readFileSync(`/proc/${handle['pid']}/environ`, 'utf8').split('\0');
          seen.push(...environment.filter((each) => /^(KUBECONFIG|HOME|OUTRIDER_STEP)=/.test(each)).sort());
        },
      },
    );
    const seen: string[] = [];
    await execute(run.context);
    const folder = join(run.folder, 'secrets');
    expect(seen).toEqual([
      expect.stringContaining(`HOME=${folder}/kubectl-`),
      expect.stringMatching(new RegExp(`^KUBECONFIG=${folder}/kubectl-\\w+/kubeconfig$`)),
      'OUTRIDER_STEP=step-1',
    ]);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('are ended by cancel, and nothing is left', async () => {
    const run = attempt({ command: 'kubectl get configmaps --watch' });
    await cluster.mustKubectl(['create', 'configmap', 'watched']);
    const result = execute(run.context);
    await waitFor('kubectl to watch', () => run.stdout().includes('watched'));
    run.stop('Cancelled');
    expect(await result).toMatchObject({ outcome: 'Cancelled', reason: 'Cancelled' });
    expect(processEntry(Number(run.handles[0]?.['pid']))).toBeUndefined();
    expect(readdirSync(join(run.folder, 'secrets'))).toEqual([]);
  });
});

describe('refused before anything runs', () => {
  test('a line that goes beyond the target, whatever precedes it', async () => {
    const run = attempt({ command: 'kubectl create configmap early\nkubectl get pods --as=admin' });
    expect(await refusal(run)).toMatch(/^KubectlFlagRefused: Line 2 of command uses --as,/);
    expect((await cluster.kubectl(['get', 'configmap', 'early'])).code).toBe(1);
  });

  test('a machine without kubectl', async () => {
    expect(
      await refusal(
        attempt(
          { command: 'kubectl version' },
          { machine: { kubectl: '/no/such/kubectl', localExec: false } },
        ),
      ),
    ).toBe(
      'KubectlMissing: This runner has no kubectl: /no/such/kubectl does not exist, or may not be executed.',
    );
  });

  test('env for a command, which no shell reads', async () => {
    expect(await refusal(attempt({ command: 'kubectl version', env: { KUBECTL_EXTERNAL_DIFF: 'id' } }))).toBe(
      'CommandInvalid: Step step-1 sets env KUBECTL_EXTERNAL_DIFF, but a command of kubectl-exec runs without a shell and reads no environment.',
    );
  });

  test('a script where local-exec is not permitted', async () => {
    expect(await refusal(attempt({ script: 'kubectl version' }))).toBe(
      "LocalExecNotAllowed: The script of step step-1 would run in a shell on the runner, which this machine's configuration does not permit.",
    );
  });
});

test('a script runs in a shell with the same kubeconfig, where local-exec is permitted', async () => {
  const run = attempt(
    {
      script:
        '"$KUBECTL" get configmaps -o name | sort | grep -c . >/dev/null && "$KUBECTL" config view -o jsonpath={..namespace}; echo " $0"',
      env: { KUBECTL: kubectl },
    },
    { machine: { kubectl, localExec: true } },
  );
  expect((await execute(run.context)).outcome).toBe('Succeeded');
  expect(run.stdout()).toMatch(
    new RegExp(`^${cluster.namespace} ${run.folder}/secrets/kubectl-\\w+/script\n$`),
  );
  expect(existsSync(run.stdout().trim().split(' ')[1] ?? '')).toBe(false);
});
