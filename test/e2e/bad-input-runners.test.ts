import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { formatRegistrationToken, parseRegistrationToken } from '@outrider/protocol';
import type { Step } from '@outrider/kinds';
import { run } from '../servers/command.ts';
import { bundle } from '../servers/outrider.ts';
import { waitFor } from '../servers/wait.ts';
import { completedOf, reasonOf } from './bad-input-fixture.ts';
import { useStack } from './stack.ts';

const stack = useStack();

/** Joins with a token and ends. Each name has a state folder, and so a key, of its own. */
const register = (name: string, token: string, flags: readonly string[] = []) => {
  const stateDir = stack.footprint.subfolder(`join-${name}`);
  const command = [
    bundle('runner', 'outrider-runner.js'),
    'register',
    '--state-dir',
    stateDir,
    '--name',
    name,
  ];
  return run(process.execPath, [...command, ...flags], { env: { OUTRIDER_RUNNER_TOKEN: token } });
};

/** The last two lines: what happened, and what to do. */
const errorOf = (stderr: string): string => stderr.trimEnd().split('\n').slice(-2).join('\n');

describe('a registration token', () => {
  test('that is no token is refused before anything is sent', async () => {
    const { code, stderr } = await register('garbage', 'orr1.garbage');
    expect([code, errorOf(stderr)]).toEqual([
      3,
      'error RegistrationTokenInvalid: The registration token cannot be read: it does not start with outrider-registration-.\n' +
        '  → Copy the whole token, or make a new one with `outrider runner token`.',
    ]);
  });

  test('that the operator does not know: RegistrationTokenInvalid', async () => {
    const real = parseRegistrationToken(await stack.registrationToken());
    const forged = formatRegistrationToken({ ...real, secret: 'A'.repeat(43) });
    const { code, stderr } = await register('forged', forged);
    expect([code, errorOf(stderr)]).toEqual([
      3,
      'error RegistrationTokenInvalid: The operator does not know this registration token.\n' +
        '  → Copy the whole token, or make a new one with `outrider runner token`.',
    ]);
  });

  test('of another installation: CertificateMismatch, and its secret stays here', async () => {
    const real = parseRegistrationToken(await stack.registrationToken());
    const caKeyHash = 'B'.repeat(real.caKeyHash.length);
    const { code, stderr } = await register('foreign', formatRegistrationToken({ ...real, caKeyHash }));
    expect([code, errorOf(stderr)]).toEqual([
      1,
      `error CertificateMismatch: The CA that ${real.url} shows is not the one of the registration token: its key hash is ${real.caKeyHash}, the token says ${caKeyHash}.\n` +
        '  → Check the URL: another machine may be answering in the operator’s place. If the operator’s CA was replaced, make a new token with `outrider runner token`.',
    ]);
  });

  test('that asks for more tags than it permits: TagNotPermitted', async () => {
    const token = await stack.registrationToken('--tags', 'staging');
    const { code, stderr } = await register('greedy', token, ['--tags', 'production']);
    expect([code, errorOf(stderr)]).toEqual([
      3,
      'error TagNotPermitted: Runner greedy asks for the tag production, which it is not permitted to have. Permitted: staging.\n' +
        "  → Take production out of the runner's own tags (OUTRIDER_RUNNER_TAGS, --tags), add it to spec.tags of the Runner, or make a registration token that permits it.",
    ]);
  });

  test('used by two runners at once lets exactly one in, and tells the other', async () => {
    const token = await stack.registrationToken();
    const names = ['first', 'second', 'third', 'fourth'];
    const results = await Promise.all(names.map((name) => register(name, token)));
    const refused = results.filter(({ code }) => code === 3);
    expect(results.filter(({ code }) => code === 0)).toHaveLength(1);
    expect(refused).toHaveLength(3);
    for (const { stderr } of refused)
      expect(errorOf(stderr)).toBe(
        'error RegistrationTokenUsed: Another runner has joined with this registration token; each is good for one key.\n' +
          '  → Make one token per machine with `outrider runner token`. If this machine joined before, give it back its state folder. If neither is so, the token has leaked: revoke the runner that used it.',
      );
    const joined = await stack.kubectl('get', 'runners', '-o', 'name');
    expect(names.filter((name) => joined.includes(`/${name}\n`))).toHaveLength(1);
  });

  test('none at all: says where to get one', async () => {
    const { code, stderr } = await register('none', '');
    expect(code).toBe(2);
    expect(errorOf(stderr)).toMatch(
      /^error ConfigInvalid: This runner has not joined yet \(nothing in \S+join-none\), and no registration token is given\.\n {2}→ Make one with `outrider runner token` and pass it in OUTRIDER_RUNNER_TOKEN or --token-file\.$/,
    );
  });
});

describe('a revoked runner', () => {
  test('loses its open poll at once, ends with 3, is shown as Revoked and is refused when it starts again', async () => {
    const runner = await stack.startRunner('traitor');
    await stack.kubectl('patch', 'runner', 'traitor', '--type=merge', '-p', '{"spec":{"revoked":true}}');
    // Less than a poll is held: that its next one would be refused is not enough.
    const code = await waitFor('it to exit', () => runner.process.exitCode(), { timeoutMs: 15_000 });
    const last = errorOf(readFileSync(runner.process.logFile, 'utf8'));
    const online = await waitFor('its status', async () => {
      const path = 'jsonpath={.status.conditions[?(@.type=="Online")]}';
      const text = await stack.kubectl('get', 'runner', 'traitor', '-o', path);
      return text.includes('Revoked') && text;
    });
    const again = await runner.restart();
    const codeAgain = await waitFor('it to exit again', () => again.process.exitCode());
    expect([code, codeAgain]).toEqual([3, 3]);
    for (const text of [last, errorOf(readFileSync(again.process.logFile, 'utf8'))]) {
      expect(text).toContain(`error RunnerRevoked: Runner ${stack.namespace}/traitor was revoked`);
      expect(text).toContain('another name');
    }
    expect(online).toContain('Its keys are refused. Join the machine again under another name.');
  });
});

describe('a step that no runner may take', () => {
  const start = async (name: string, step: Step): Promise<string> => {
    await stack.workflow(name, { steps: [{ name: 'only', ...step }] });
    return stack.startRun(name);
  };
  const echo = { node: 'local-exec', script: 'echo ran' };

  /** The message of a run that waits for a runner, once it holds what is looked for. */
  const waitingFor = async (run: string, words: string): Promise<string> => {
    const queued = await stack.waitForRun(
      run,
      `to wait, saying ${words}`,
      (each) => reasonOf(each) === 'NoRunner' && completedOf(each).message.includes(words),
    );
    expect(queued.status?.phase).toBe('Queued');
    const { message } = completedOf(queued);
    expect(await stack.mustCli('describe', run)).toContain(message);
    return message;
  };

  beforeAll(async () => {
    await stack.startRunner('near', { tags: ['production'], flags: ['--local-exec'] });
    await stack.startRunner('machine');
    await stack.allowLocalExec('machine');
  });

  test('says which tags it needs and what the closest runners lack, and starts when one with them comes', async () => {
    const step = { node: 'ssh-exec', script: 'true', runner: { tags: ['production', 'us-east-1'] } };
    const target = { host: '127.0.0.1', port: 1, user: 'x', credential: 'secret:none' };
    const run = await start('tagged', { ...step, target });
    const message = await waitingFor(run, 'us-east-1');
    expect(message).toBe(
      `Needs a runner of namespace ${stack.namespace} with the tags production, us-east-1 (node ssh-exec). No online runner qualifies. Closest: near: it lacks the tag us-east-1; machine: it lacks the tags production, us-east-1. Change that or start a runner that qualifies; the step then starts by itself.`,
    );
    const late = await stack.startRunner('late', { tags: ['production', 'us-east-1'] });
    expect(completedOf(await stack.waitForEnd(run)).message).toContain('There is no Secret none');
    await late.process.stop();
  });

  test('tells a machine that does not permit local-exec from a Runner resource that does not', async () => {
    const run = await start('local', echo);
    const message = await waitingFor(run, 'near');
    expect(message).toBe(
      `Needs a runner of namespace ${stack.namespace} (node local-exec). No online runner qualifies. Closest: machine: its machine's own configuration does not permit local-exec; near: its spec.allow.nodes does not permit local-exec. Change that or start a runner that qualifies; the step then starts by itself.`,
    );
    await stack.allowLocalExec('near');
    expect((await stack.waitForEnd(run)).status?.phase).toBe('Succeeded');
  });

  test('says that the runner is suspended, and starts when it is not any more', async () => {
    const suspend = (value: boolean): Promise<string> =>
      stack.kubectl('patch', 'runner', 'near', '--type=merge', '-p', `{"spec":{"suspend":${value}}}`);
    await suspend(true);
    const run = await start('paused', { ...echo, runner: { tags: ['production'] } });
    const message = await waitingFor(run, 'suspended');
    expect(message).toBe(
      `Needs a runner of namespace ${stack.namespace} with the tag production (node local-exec). No online runner qualifies. Closest: near: it is suspended; machine: it lacks the tag production and its machine's own configuration does not permit local-exec. Change that or start a runner that qualifies; the step then starts by itself.`,
    );
    await suspend(false);
    expect((await stack.waitForEnd(run)).status?.phase).toBe('Succeeded');
  });
});
