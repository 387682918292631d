import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ownedFolders } from './files.ts';
import { chartTemplates, manifests, maximumCrdBytes } from './manifests.ts';
import { reference } from './reference.ts';

const root = join(import.meta.dirname, '..', '..');
const files = [...manifests(), ...chartTemplates(), ...reference()];

describe('the generated files', () => {
  test('are those in the repository, byte by byte; `make generate` writes them', () => {
    for (const { path, text } of files) expect(readFileSync(join(root, path), 'utf8'), path).toBe(text);
  });

  test('are all that their folders hold', () => {
    const there = ownedFolders.flatMap((folder) =>
      readdirSync(join(root, folder)).map((name) => `${folder}/${name}`),
    );
    expect(there.sort()).toEqual(files.map(({ path }) => path).sort());
  });

  test('stay far enough below what kubectl can keep in an annotation', () => {
    const largest = Math.max(...files.map(({ text }) => Buffer.byteLength(text)));
    expect(largest).toBeLessThan(maximumCrdBytes);
  });

  test('name the ServiceAccount of the release in the chart, and outrider-system elsewhere', () => {
    const text = (path: string): string => files.find((file) => file.path === path)?.text ?? '';
    expect(text('crds/manifests/policies.yaml')).toContain(
      "request.userInfo.username != 'system:serviceaccount:outrider-system:outrider-operator'",
    );
    const chart = text('charts/outrider/templates/policies/policies.yaml');
    expect(chart).toContain('system:serviceaccount:{{ .Release.Namespace }}:outrider-operator');
    expect(chart).not.toContain('outrider-system');
  });

  test('set no default, which GitOps tools would report as drift', () => {
    for (const { path, text } of manifests()) expect(text, path).not.toMatch(/^\s+default:/m);
  });
});
