import { portalPaths, type RegistrationTokenRequest, type RegistrationTokenResponse } from '@outrider/portal';
import type { Arguments } from '../arguments.ts';
import type { Command } from '../command.ts';
import type { Context } from '../context.ts';
import { exitStatus, usageError } from '../errors.ts';
import { renderObject } from '../output/objects.ts';
import { formatDuration } from '../output/time.ts';

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `90s`, `30m`, `1h30m`, as in every duration of the product, in whole seconds. @throws CliError Usage */
export const parseTtl = (text: string): number => {
  if (!/^([0-9]+(ms|s|m|h))+$/.test(text))
    throw usageError(`--ttl "${text}" is no duration.`, 'Write it like 30m or 1h.');
  const parts = [...text.matchAll(/([0-9]+)(ms|s|m|h)/g)];
  const ms = parts.reduce((sum, [, count, unit = 's']) => sum + Number(count) * (unitMs[unit] ?? 0), 0);
  if (ms >= 60_000 && ms <= 3_600_000) return Math.floor(ms / 1000);
  throw usageError(
    `--ttl ${text} is outside 1m to 1h.`,
    'Tokens are for use at once; make another when needed.',
  );
};

const requestFrom = (args: Arguments): RegistrationTokenRequest => {
  const tags = args
    .list('tags')
    .flatMap((each) => each.split(','))
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '');
  const ttl = args.text('ttl');
  return {
    ...(tags.length === 0 ? {} : { tags: [...new Set(tags)] }),
    ...(ttl === undefined ? {} : { ttlSeconds: parseTtl(ttl) }),
    ...(args.flag('local') ? { local: true } : {}),
  };
};

const guide = (
  context: Context,
  answer: RegistrationTokenResponse,
  request: RegistrationTokenRequest,
): string => {
  const { dim, bold } = context.out.style;
  const left = formatDuration(Date.parse(answer.expiresAt) - context.now());
  const tags = request.tags ? ` --tags ${request.tags.join(',')}` : '';
  return [
    bold(answer.token),
    '',
    `Good for one runner, within ${left}. On its machine, which must reach ${answer.url}:`,
    '',
    `  export OUTRIDER_RUNNER_TOKEN=…   ${dim('# the token above')}`,
    `  outrider-runner run --name NAME${tags}`,
    '',
    `Then: ${context.program} runners`,
    '',
  ].join('\n');
};

export const runnerToken: Command = {
  name: 'runner token',
  summary: 'Make a token with which one runner registers',
  operands: '',
  arity: [0, 0],
  description:
    'The token works once, within an hour. On a terminal it comes with the commands that use it; into a pipe goes the token alone.',
  examples: [
    { what: 'For a runner that may use two tags', words: 'runner token --tags production,us-east-1' },
    { what: 'For a script', words: 'runner token -o name > token' },
  ],
  options: {
    tags: {
      type: 'string',
      multiple: true,
      value: 'A,B',
      help: 'Tags that the runner may have; any when absent.',
    },
    ttl: { type: 'string', value: 'DURATION', help: 'Validity, 1m to 1h; 1h when absent.' },
    local: {
      type: 'boolean',
      help: "For the installation's own runner, which takes `runner: {local: true}`; in its namespace only.",
    },
  },
  formats: ['json', 'yaml', 'name'],
  run: async (context, args) => {
    const request = requestFrom(args);
    const namespace = await context.namespace();
    const portal = await context.portal();
    const answer = await portal.post<RegistrationTokenResponse>(
      portalPaths.registrationTokens(namespace),
      request,
    );
    if (context.format === 'json' || context.format === 'yaml')
      await context.out.write(await renderObject(answer, context.format));
    else if (context.format === 'name' || !context.out.isTTY) await context.out.write(`${answer.token}\n`);
    else await context.out.write(guide(context, answer, request));
    return exitStatus.ok;
  },
};
