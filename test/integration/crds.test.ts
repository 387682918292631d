import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { afterAll, describe, expect, test } from 'vitest';
import { repositoryRoot } from '../servers/paths.ts';
import { useNamespace } from './cluster.ts';

const cluster = useNamespace('crds');

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec?: unknown;
}

const yamlFiles = (folder: string): readonly string[] =>
  readdirSync(join(repositoryRoot, folder))
    .filter((name) => name.endsWith('.yaml'))
    .sort((a, b) => a.localeCompare(b))
    .map((name) => join(repositoryRoot, folder, name));

/** As kubectl reads it: YAML 1.1. */
const documents = (file: string): readonly Manifest[] =>
  parseAllDocuments(readFileSync(file, 'utf8'), { version: '1.1' }).map(
    (document) => document.toJS() as Manifest,
  );

describe('the examples', () => {
  const files = yamlFiles('examples');
  const ours = ['workflows', 'workflowruns', 'runners', 'targets', 'credentialstores'].join(',');
  afterAll(async () => {
    await cluster.controlPlane.mustKubectl(['delete', ours, '--all', '--namespace', 'operations']);
  });

  test('are accepted by strict validation, and the API server keeps every field of them', async () => {
    const args = files.flatMap((file) => ['-f', file]);
    await cluster.controlPlane.mustKubectl(['apply', '--server-side', '--validate=strict', ...args]);
    const read = JSON.parse(await cluster.controlPlane.mustKubectl(['get', '-o', 'json', ...args])) as {
      items: readonly Manifest[];
    };
    const wanted = files.flatMap(documents);
    expect(wanted.length).toBeGreaterThan(5);
    expect(read.items.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual(
      wanted.map(({ kind, metadata }) => `${kind} ${metadata.name}`),
    );
    for (const [index, document] of wanted.entries()) {
      expect(read.items[index]).toMatchObject(document);
      if (document.kind !== 'Namespace') expect(read.items[index]?.spec).toEqual(document.spec);
    }
  });

  test('show up together under the category outrider', async () => {
    const text = await cluster.controlPlane.mustKubectl(['get', 'outrider', '--namespace', 'operations']);
    expect(text).toContain('workflow.outrider.dev/restart-payment-service');
    expect(text).toContain('workflowrun.outrider.dev/restart-payment-service-1');
    expect(text).toContain('runner.outrider.dev/prod-runner-1');
    expect(text).toContain('target.outrider.dev/prod-eks');
    expect(text).toContain('credentialstore.outrider.dev/vault');
  });

  test('are found by field selectors and short names', async () => {
    const get = async (...args: readonly string[]): Promise<string> =>
      (await cluster.controlPlane.mustKubectl(['get', '-n', 'operations', '-o', 'name', ...args])).trim();
    expect(await get('tgt', '--field-selector', 'spec.type=Kubernetes')).toBe('target.outrider.dev/prod-eks');
    expect(await get('tgt', '--field-selector', 'spec.host=prod-server.internal.company.com')).toBe(
      'target.outrider.dev/prod-server',
    );
    expect(await get('wfr', '--field-selector', 'spec.workflowRef.name=restart-payment-service')).toBe(
      'workflowrun.outrider.dev/restart-payment-service-1',
    );
    expect(await get('wfr', '--field-selector', 'spec.workflowRef.name=another')).toBe('');
  });
});

const sshStep = `node: ssh-exec
target:
  host: prod-server.internal.company.com
  port: 22
  credential: vault:prod-server-ssh-key
script: |
  echo "Server: $(hostname)"
  systemctl status payment-service
  journalctl -u payment-service -n 100
timeout: 5m
`;
const kubectlStep = `node: kubectl-exec
target:
  context: prod-eks
  namespace: payments
command: |
  kubectl rollout restart deployment/payment-service
  kubectl rollout status deployment/payment-service
timeout: 10m
`;

function workflow(name: string, ...steps: readonly string[]): string {
  const list = steps.map((step) => `    -\n${step.replaceAll(/^(?=.)/gm, '      ')}`).join('');
  return `apiVersion: outrider.dev/v1alpha1\nkind: Workflow\nmetadata: {name: ${name}}\nspec:\n  steps:\n${list}`;
}

describe('a workflow', () => {
  const strict = ['create', '--validate=strict', '-f', '-'];

  test.each([
    ['ssh-exec', sshStep],
    ['kubectl-exec', kubectlStep],
  ])('may hold the %s step of the documentation word for word', async (name, step) => {
    await cluster.mustKubectl(strict, { input: workflow(name, step) });
    const text = await cluster.mustKubectl(['get', 'workflow', name, '-o', 'json']);
    const stored = JSON.parse(text) as { spec: { steps: readonly unknown[] } };
    expect(stored.spec.steps).toEqual([parseAllDocuments(step)[0]?.toJS()]);
  });

  test('may have its credential beside the target', async () => {
    const beside = sshStep.replace('  credential:', 'credential:');
    await cluster.mustKubectl(strict, { input: workflow('beside', beside) });
  });

  test('takes a script of 64 KiB and refuses one of 70 KB', async () => {
    const step = (size: number): string => `node: local-exec\nscript: ${'x'.repeat(size)}\n`;
    await cluster.mustKubectl(strict, { input: workflow('long', step(65_536)) });
    const refused = await cluster.kubectl(strict, { input: workflow('too-long', step(70_000)) });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('spec.steps[0].script: Too long: may not be more than 65536 bytes');
  });

  test('explains its steps to kubectl explain', async () => {
    const steps = await cluster.mustKubectl(['explain', 'workflow.spec.steps']);
    expect(steps).toContain('One unit of work, by one node type.');
    expect(steps).toContain('Node type that executes the step: ssh-exec, kubectl-exec, local-exec.');
    expect(steps).toContain('Program that runs the script, with its arguments');
    const target = await cluster.mustKubectl(['explain', 'workflow.spec.steps.target']);
    expect(target).toContain('Where the step acts: one Target by name, or written out here.');
  });
});

describe('the API server refuses', () => {
  const cases = yamlFiles('test/invalid').map((file) => {
    const [first = '', ...rest] = readFileSync(file, 'utf8').split('\n');
    const name = file
      .slice(file.lastIndexOf('/') + 1)
      .replace('.yaml', '')
      .replaceAll('-', ' ');
    return { name, words: first.replace(/^# expect: /, ''), first, input: rest.join('\n') };
  });

  test.each(cases)('$name', async ({ first, words, input }) => {
    expect(first).toMatch(/^# expect: \S/);
    const answer = await cluster.kubectl(['create', '--validate=strict', '-f', '-'], { input });
    expect(answer.stderr).toContain(words);
    expect(answer.code).toBe(1);
  });
});
