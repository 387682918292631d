import { describe, expect, it } from 'vitest';
import { parseArguments, type OptionSpecs } from './arguments.ts';

const specs: OptionSpecs = {
  namespace: { type: 'string', short: 'n', value: 'NAME', help: '' },
  follow: { type: 'boolean', short: 'f', help: '' },
  quiet: { type: 'boolean', short: 'q', help: '' },
  param: { type: 'string', short: 'p', multiple: true, value: 'NAME=VALUE', help: '' },
  tail: { type: 'string', value: 'N', help: '' },
};
const parse = (...words: string[]) => parseArguments(words, specs, 'outrider help x');
const failure = (...words: string[]) => {
  try {
    parse(...words);
  } catch (error) {
    return error;
  }
  return undefined;
};

describe('the command line', () => {
  it('takes options before, between and behind operands, in every spelling', () => {
    const args = parse('-n', 'a', 'run-1', '--param=x=1', '-fq', '-py=2', 'step', '--namespace', 'b');
    expect(args.positionals).toEqual(['run-1', 'step']);
    expect(args.text('namespace')).toBe('b');
    expect(args.list('param')).toEqual(['x=1', 'y=2']);
    expect([args.flag('follow'), args.flag('quiet'), args.flag('tail')]).toEqual([true, true, false]);
  });

  it('takes values that begin with a dash, and operands behind --', () => {
    const args = parse('-p', '-x=-1', '--', '--follow');
    expect(args.list('param')).toEqual(['-x=-1']);
    expect(args.positionals).toEqual(['--follow']);
  });

  it('suggests the option that was meant', () => {
    expect(failure('--namspace', 'a')).toMatchObject({
      code: 'Usage',
      message: 'There is no option --namspace.',
      action: 'Did you mean --namespace? See `outrider help x`.',
      exitCode: 2,
    });
    expect(failure('-z')).toMatchObject({
      message: 'There is no option -z.',
      action: 'See `outrider help x`.',
    });
    expect(failure('--constructor')).toMatchObject({ message: 'There is no option --constructor.' });
  });

  it('refuses an option without its value, and a flag with one', () => {
    expect(failure('--namespace')).toMatchObject({
      message: '--namespace has no value.',
      action: 'Write --namespace NAME.',
    });
    expect(failure('-n', '-f')).toMatchObject({ message: '-n has no value.' });
    expect(failure('--follow=yes')).toMatchObject({
      message: '--follow takes no value, but was given "yes".',
    });
  });

  it('refuses counts that are none', () => {
    expect(parse('--tail', '10').count('tail', 0)).toBe(10);
    expect(parse().count('tail', 0)).toBeUndefined();
    for (const bad of ['-1', '1.5', 'x', '', '1e3'])
      expect(() => parse(`--tail=${bad}`).count('tail', 0)).toThrow(`--tail is "${bad}".`);
    expect(() => parse('--tail=0').count('tail', 1)).toThrow('--tail is "0".');
  });
});
