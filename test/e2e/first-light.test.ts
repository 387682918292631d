import { expect, test } from 'vitest';
import { useStack } from './stack.ts';

const stack = useStack();

test('an applied run of three steps reaches Succeeded, and its log is read live', async () => {
  await stack.startRunner('local-one', { flags: ['--local-exec'] });
  await stack.allowLocalExec('local-one');
  const step = (name: string) => ({ name, node: 'local-exec', script: `echo "hello from ${name}"` });
  await stack.workflow('greet', { steps: [step('one'), step('two'), step('three')] });
  const { code, stdout, stderr } = await stack.cli(['run', 'greet', '--follow']);
  expect(stderr).not.toContain('error');
  expect(stdout).toContain('hello from one');
  expect(stdout).toContain('hello from three');
  expect(code).toBe(0);
});
