import { describe, expect, it } from 'vitest';
import type { Parameter } from '@outrider/kinds';
import { parseAssignments, typeParameters } from './parameters.ts';

const declared: readonly Parameter[] = [
  { name: 'env', required: true, options: ['Prod', 'Test'] },
  { name: 'batch', type: 'Integer', value: '10' },
  { name: 'ratio', type: 'Number' },
  { name: 'force', type: 'Boolean' },
];
const typed = (...words: string[]) =>
  typeParameters({ namespace: 'ops', workflow: 'patch' }, declared, parseAssignments(words));

describe('parameters of a run', () => {
  it('get the types that the workflow declares', () => {
    expect(typed('env=Prod', 'batch=-5', 'ratio=2.5e1', 'force=false')).toEqual({
      env: 'Prod',
      batch: -5,
      ratio: 25,
      force: false,
    });
    expect(typed('env=Test')).toEqual({ env: 'Test' });
  });

  it('may hold an equals sign', () => {
    expect(parseAssignments(['q=a=b', 'e=']).get('q')).toBe('a=b');
    expect(parseAssignments(['e=']).get('e')).toBe('');
  });

  it('are refused together, each with what it needs', () => {
    expect(() => typed('batch=1.5', 'ratio=NaN', 'force=yes', 'colour=red')).toThrow(
      expect.objectContaining({
        code: 'InvalidParameters',
        exitCode: 1,
        message:
          'Workflow "patch" was not started: the workflow has no parameter "colour" (it has env, batch, ratio, force); ' +
          'parameter "env" is required (-p env=…); ' +
          'parameter "batch" is of type Integer and needs a whole number, such as 10, not "1.5"; ' +
          'parameter "ratio" is of type Number and needs a number, such as 2.5, not "NaN"; ' +
          'parameter "force" is of type Boolean and needs true or false, not "yes".',
      }),
    );
    expect(() => typed('env=Dev')).toThrow('parameter "env" must be one of Prod, Test, not "Dev"');
    expect(() => typeParameters({ namespace: 'ops', workflow: 'bare' }, [], new Map([['a', '1']]))).toThrow(
      'the workflow has no parameter "a" (it has none)',
    );
    expect(() => typed('env=Prod', 'batch=99999999999999999999')).toThrow(
      'parameter "batch" is of type Integer',
    );
  });

  it('are refused as usage when they are no assignment or come twice', () => {
    expect(() => parseAssignments(['env'])).toThrow('-p "env" is not NAME=VALUE.');
    expect(() => parseAssignments(['=x'])).toThrow('-p "=x" is not NAME=VALUE.');
    expect(() => parseAssignments(['a=1', 'a=2'])).toThrow('The parameter "a" is given twice.');
  });
});
