import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { describe, expect, test } from 'vitest';
import type { CommandResult } from '../servers/command.ts';
import { repositoryRoot } from '../servers/paths.ts';
import { sharedControlPlane } from './cluster.ts';

const controlPlane = sharedControlPlane();

interface Rule {
  rule: string;
  messageExpression?: string;
}

/** Every `x-kubernetes-validations` below a value. */
function rulesOf(value: unknown): readonly Rule[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, child]) =>
    name === 'x-kubernetes-validations' ? (child as Rule[]) : rulesOf(child),
  );
}

interface Crd {
  metadata: { name: string };
  spec: { group: string; names: { plural: string } };
}

/** The estimate of a conjunction or a concatenation is the sum of its parts', so that a copy costs `factor` times as much. */
async function tryAtCost(file: string, factor: number): Promise<CommandResult> {
  const crd = parse(readFileSync(file, 'utf8')) as Crd;
  crd.spec.group = 'budget.outrider.dev';
  crd.metadata.name = `${crd.spec.names.plural}.${crd.spec.group}`;
  for (const rule of rulesOf(crd)) {
    rule.rule = Array.from({ length: factor }, () => `(${rule.rule})`).join(' && ');
    if (rule.messageExpression !== undefined) {
      rule.messageExpression = Array.from({ length: factor }, () => `(${rule.messageExpression})`).join(
        ' + ',
      );
    }
  }
  return controlPlane.kubectl(['create', '--dry-run=server', '-f', '-'], { input: JSON.stringify(crd) });
}

const folder = join(repositoryRoot, 'crds', 'manifests');
const files = readdirSync(folder).filter((name) => name.startsWith('outrider.dev_'));

describe("the API server's budget for rules", () => {
  test.each(files)('is at most half used by %s, in each rule and in all together', async (name) => {
    const answer = await tryAtCost(join(folder, name), 2);
    expect(answer.stderr).toBe('');
    expect(answer.code).toBe(0);
  });

  test('is exceeded by rules at forty times their cost, as the measurement would show', async () => {
    const answer = await tryAtCost(join(folder, 'outrider.dev_workflows.yaml'), 40);
    expect(answer.code).toBe(1);
    expect(answer.stderr).toContain('exceeds budget');
  });
});
