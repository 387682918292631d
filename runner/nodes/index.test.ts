import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { definitions } from './index.ts';

const exampleOf = (name: string): { kind: string; spec: { steps: Record<string, unknown>[] } } =>
  parse(readFileSync(join(import.meta.dirname, name, 'example.yaml'), 'utf8'));

describe.each(Object.entries(definitions))('node type %s', (name, definition) => {
  test('has its own name, an executor and a README', () => {
    expect(definition.name).toBe(name);
    const files = ['execute.ts', 'README.md'].map((file) =>
      existsSync(join(import.meta.dirname, name, file)),
    );
    expect(files).toEqual([true, true]);
  });

  test('has an example that sets what is required and nothing that is refused', () => {
    const { kind, spec } = exampleOf(name);
    const [step = {}] = spec.steps;
    expect([kind, spec.steps.length, step['node']]).toEqual(['Workflow', 1, name]);
    const presence = { ...definition.fields, target: definition.target };
    const wrong = Object.entries(presence).filter(
      ([field, rule]) => (rule === 'Required' && !(field in step)) || (rule === 'Refused' && field in step),
    );
    expect(wrong).toEqual([]);
    const chosen = (definition.exactlyOneOf ?? []).filter((field) => field in step);
    expect(chosen.length).toBe(definition.exactlyOneOf === undefined ? 0 : 1);
  });

  test('explains each field of a credential that it understands', () => {
    const explained = Object.values(definition.credentialFields).every((text) => text.endsWith('.'));
    expect([explained, Object.keys(definition.credentialFields).length > 0]).toEqual([
      true,
      definition.credential !== 'Refused',
    ]);
  });
});

test('code runs on the runner itself with local-exec, and with a script of kubectl-exec', () => {
  const local = Object.values(definitions).flatMap((definition) =>
    (['script', 'command'] as const)
      .filter((field) => definition.fields[field] !== 'Refused' && definition.runsLocally({ [field]: 'x' }))
      .map((field) => `${definition.name} ${field}`),
  );
  expect(local).toEqual(['kubectl-exec script', 'local-exec script']);
});
