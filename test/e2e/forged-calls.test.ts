import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunDetails } from '@outrider/portal';
import { encodeLogBatch, paths, type AttemptRef } from '@outrider/protocol';
import { chunkOf, codesOf, ledgerOf, Speaker, type Answered } from './forged-fixture.ts';
import { useStack } from './stack.ts';

const stack = useStack({ flags: ['--max-log-mib', '1', '--lease', '10m'] });
let victim: Speaker;
let other: Speaker;
let run: string;
let before: RunDetails;
/** Running, and held by the victim. */
let attempt: AttemptRef;
/** Given back by the victim; the task is at its second epoch. */
let stale: AttemptRef;

const ref = ({ task, epoch }: AttemptRef): AttemptRef => ({ task, epoch });
const result = (exitCode = 0) => ({
  outcome: exitCode === 0 ? ('Succeeded' as const) : ('Failed' as const),
  exitCode,
  startedAt: '2026-11-22T12:00:00.000Z',
  finishedAt: '2026-11-22T12:00:01.000Z',
  log: { length: 0, sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' },
});
const report = (of: AttemptRef, kind: 'Started' | 'Released' | 'Result', exitCode = 0) => ({
  reports: [{ ...ref(of), kind, ...(kind === 'Result' ? { result: result(exitCode) } : {}) }],
});

const accepted = async (): Promise<AttemptRef> => {
  const { offers } = await victim.poll();
  const [offer] = offers;
  if (offer === undefined) throw new Error('nothing was offered');
  expect(codesOf(await victim.json(paths.accept, { attempts: [ref(offer)] }))).toEqual(['Recorded']);
  return ref(offer);
};

beforeAll(async () => {
  victim = await Speaker.join(stack, 'victim');
  other = await Speaker.join(stack, 'other');
  await victim.open();
  const hostKey = `SHA256:${'A'.repeat(43)}`;
  const target = { host: '127.0.0.1', user: 'nobody', hostKey, credential: 'secret:forged' };
  await stack.workflow('forged', { steps: [{ name: 'only', node: 'ssh-exec', target, script: 'true' }] });
  run = await stack.startRun('forged');
  stale = await accepted();
  expect(codesOf(await victim.json(paths.reports, report(stale, 'Released')))).toEqual(['Recorded']);
  attempt = await accepted();
  expect(attempt).toEqual({ task: stale.task, epoch: stale.epoch + 1 });
  expect(codesOf(await victim.json(paths.reports, report(attempt, 'Started')))).toEqual(['Recorded']);
  expect(codesOf(await victim.logs([chunkOf(attempt, 'first\n')]))).toEqual(['ok']);
  await other.open();
  before = await ledgerOf(stack, run);
  expect(before.tasks).toMatchObject([{ id: attempt.task, epoch: 2, state: 'Running' }]);
});
afterAll(async () => {
  for (const speaker of [victim, other]) await speaker.transport.close();
});

/** Refused with this code, and the ledger is as it was. */
const expectRefused = async (answer: Answered, code: string): Promise<void> => {
  expect(codesOf(answer), JSON.stringify(answer)).toEqual([code]);
  expect(await ledgerOf(stack, run)).toEqual(before);
};

const jws = (speaker: Speaker, of: AttemptRef, changes: object = {}): Promise<string> =>
  speaker.key.sign({
    session: speaker.session,
    generation: speaker.generation,
    ...ref(of),
    reference: 'secret:forged',
    envelopeKey: 'A'.repeat(43),
    ...changes,
  });
const asksSecret = async (speaker: Speaker, body: string): Promise<Answered> =>
  speaker.call(paths.credentials, body, { headers: { 'content-type': 'application/jose' } });

describe("another runner's attempt", () => {
  test.each([
    ['accepted', () => other.json(paths.accept, { attempts: [attempt] })],
    ['started', () => other.json(paths.reports, report(attempt, 'Started'))],
    ['released', () => other.json(paths.reports, report(attempt, 'Released'))],
    ['ended', () => other.json(paths.reports, report(attempt, 'Result'))],
    ['written to its log', () => other.logs([chunkOf(attempt, 'forged\n', { offset: 26, seq: 1 })])],
    ['asked for its secret', async () => asksSecret(other, await jws(other, attempt))],
    [
      'asked for a host key',
      () => other.json(paths.hostKeys, { ...attempt, host: 'db', port: 22, key: 'ssh-ed25519 AAAA' }),
    ],
  ])('cannot be %s', async (_, forge) => {
    const answer = await forge();
    expect(['EpochMismatch', 'StateMismatch']).toContain(codesOf(answer)[0]);
    expect(await ledgerOf(stack, run)).toEqual(before);
  });
});

describe('an old epoch', () => {
  test.each([
    ['accepted', 'StateMismatch', () => victim.json(paths.accept, { attempts: [stale] })],
    ['started', 'StateMismatch', () => victim.json(paths.reports, report(stale, 'Started'))],
    ['written to its log', 'EpochMismatch', () => victim.logs([chunkOf(stale, 'late\n')])],
    ['asked for its secret', 'EpochMismatch', async () => asksSecret(victim, await jws(victim, stale))],
  ])('cannot be %s', async (_, code, forge) => expectRefused(await forge(), code));
});

describe('a wrong generation', () => {
  const generation = 'f'.repeat(32);
  test.each([
    [
      'poll',
      () =>
        victim.json(paths.poll, { generation, capacity: 1, load: 0, held: [], now: '2026-11-22T12:00:00Z' }),
    ],
    ['accept', () => victim.json(paths.accept, { generation, attempts: [attempt] })],
    ['report', () => victim.json(paths.reports, { generation, ...report(attempt, 'Result') })],
    ['log upload', () => victim.logs([chunkOf(attempt, 'x')], { generation })],
    ['request for a secret', async () => asksSecret(victim, await jws(victim, attempt, { generation }))],
    ['good-bye', () => victim.json(paths.close, { generation })],
    ['recovery', () => victim.json(paths.recovery, { generation, items: [], complete: true })],
    [
      'question for a host key',
      () =>
        victim.json(paths.hostKeys, {
          generation,
          ...attempt,
          host: 'db',
          port: 22,
          key: 'ssh-ed25519 AAAA',
        }),
    ],
  ])('is refused in a %s', async (_, forge) => expectRefused(await forge(), 'GenerationMismatch'));
});

/** The key has a session of its own, and is heard under no other. */
describe("another runner's session", () => {
  test.each([
    ['accept', () => other.json(paths.accept, { session: victim.session, attempts: [attempt] })],
    ['report', () => other.json(paths.reports, { session: victim.session, ...report(attempt, 'Result') })],
    ['log upload', () => other.logs([chunkOf(attempt, 'x')], { session: victim.session })],
    ['good-bye', () => other.json(paths.close, { session: victim.session })],
    [
      'request for a secret',
      async () => asksSecret(other, await jws(other, attempt, { session: victim.session })),
    ],
  ])('is refused in a %s', async (_, forge) => expectRefused(await forge(), 'SessionSuperseded'));

  test('that nobody has is refused as well', async () => {
    const session = randomUUID();
    await expectRefused(
      await victim.json(paths.accept, { session, attempts: [attempt] }),
      'SessionSuperseded',
    );
  });
});

describe('a copied proof', () => {
  const copied = () => {
    const { session, generation } = victim;
    return victim.copied(paths.accept, JSON.stringify({ session, generation, attempts: [attempt] }));
  };
  test('is worth nothing a second time', async () => {
    const { answer, request } = await copied();
    expect(codesOf(answer)).toEqual(['Duplicate']);
    await expectRefused(await victim.resend(request), 'Unauthenticated');
  });

  test('gives a token that is worth nothing with the proof of another key', async () => {
    const { request } = await copied();
    const token = request.headers?.['authorization']?.replace('DPoP ', '') ?? '';
    await expectRefused(await other.stolen(paths.accept, token), 'Unauthenticated');
  });

  test('of a secret request that another key signed is refused', async () => {
    const signed = await jws(other, attempt, { session: victim.session });
    await expectRefused(await asksSecret(victim, signed), 'EnvelopeInvalid');
  });
});

describe('a log', () => {
  const held = 26;
  test('takes no other bytes where it has some', async () => {
    await expectRefused(await victim.logs([chunkOf(attempt, 'other\n')]), 'log_conflict');
  });
  test('takes the same bytes again without growing', async () => {
    const answer = await victim.logs([chunkOf(attempt, 'first\n')]);
    expect(answer.body).toEqual({ attempts: [{ ...attempt, offset: held }] });
    expect(await ledgerOf(stack, run)).toEqual(before);
  });
  test('takes nothing ahead of what it has', async () => {
    await expectRefused(await victim.logs([chunkOf(attempt, 'far\n', { offset: 5000, seq: 9 })]), 'log_gap');
  });
  test('takes nothing beyond its limit, such as at 10 GB', async () => {
    const far = chunkOf(attempt, 'far\n', { offset: 10e9, seq: 9 });
    await expectRefused(await victim.logs([far]), 'PayloadTooLarge');
  });
  test('takes no chunk that is shorter than it says', async () => {
    const bytes = encodeLogBatch([chunkOf(attempt, 'more\n', { offset: held, seq: 1 })]);
    await expectRefused(await victim.logs(bytes.subarray(0, -3)), 'BadRequest');
  });
  test('takes no frame that is longer than frames may be', async () => {
    const chunk = chunkOf(attempt, 'more\n', { offset: held, seq: 1 });
    new DataView(chunk.bytes.buffer).setUint32(16, 4_000_000_000);
    await expectRefused(await victim.logs([chunk]), 'BadRequest');
  });
  test('takes no upload over 1 MiB', async () => {
    await expectRefused(await victim.logs(new Uint8Array(1_048_577)), 'PayloadTooLarge');
  });
});

test.each([
  ['no JSON', '{'],
  ['another shape', '{"attempts": 7}'],
  ['a field that nobody knows', '{"session":"s","generation":"g","attempts":[],"admin":true}'],
  ['epoch 0', '{"session":"s","generation":"g","attempts":[{"task":"t","epoch":0}]}'],
  [
    'too many attempts',
    JSON.stringify({
      session: 's',
      generation: 'g',
      attempts: Array.from({ length: 65 }, () => ({ task: 't', epoch: 1 })),
    }),
  ],
])('a body with %s is refused', async (_, body) =>
  expectRefused(await victim.call(paths.accept, body), 'BadRequest'),
);

test('a second, different result is refused, and the first one stays', async () => {
  expect(codesOf(await victim.json(paths.reports, report(attempt, 'Result', 7)))).toEqual(['Recorded']);
  const ended = await stack.waitForEnd(run);
  expect(ended.status).toMatchObject({ phase: 'Failed', steps: [{ exitCode: 7 }] });
  const after = await ledgerOf(stack, run);
  expect(codesOf(await victim.json(paths.reports, report(attempt, 'Result', 0)))).toEqual([
    'result_conflict',
  ]);
  expect(codesOf(await victim.json(paths.reports, report(attempt, 'Result', 7)))).toEqual(['Duplicate']);
  expect(codesOf(await other.json(paths.reports, report(attempt, 'Result', 0)))).toEqual(['EpochMismatch']);
  expect(await ledgerOf(stack, run)).toEqual(after);
});

test('a session that a newer one of its key replaced is heard on no route', async () => {
  const { session, generation } = victim;
  await victim.open();
  const old = { session, generation };
  const superseded = 'SessionSuperseded';
  expect(codesOf(await victim.json(paths.accept, { ...old, attempts: [attempt] }))).toEqual([superseded]);
  expect(codesOf(await victim.json(paths.reports, { ...old, ...report(attempt, 'Result', 7) }))).toEqual([
    superseded,
  ]);
  expect(codesOf(await victim.logs([chunkOf(attempt, 'x')], old))).toEqual([superseded]);
  expect(codesOf(await victim.json(paths.close, old))).toEqual([superseded]);
});
