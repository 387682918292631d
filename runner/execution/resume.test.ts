import { expect, test } from 'vitest';
import { decodeFrames } from '@outrider/protocol';
import type { OutputProgress } from '../journal/contract.ts';
import { compileSecrets, redactionMark } from '../redaction/redactor.ts';
import { OutputPipe, type OutputPipeOptions } from './output-pipe.ts';

const secret = 'hunter2-and-more';
const secrets = compileSecrets([secret, 'more-than-that']);

/** Text in which secrets stand alone, touch, overlap, are cut off and begin anew. */
const source = Buffer.from(
  [
    'plain text\n',
    secret,
    secret,
    ` then ${secret.slice(0, 9)}${secret}\n`,
    'hunter2-and-more-than-that, ',
    secret.slice(0, -1),
    `\n${'x'.repeat(300)}\n`,
    `${Buffer.from(secret).toString('base64')} ${secret}`,
    ' hunter2-and',
  ].join(''),
);

/** What one runner process makes of the source until it dies: frames that reached the log, and its last checkpoint. */
interface Life {
  readonly log: Buffer;
  readonly progress: OutputProgress;
}

const start: OutputProgress = { stdout: { raw: 0, redacted: 0 }, stderr: { raw: 0, redacted: 0 } };

const payloadOf = (log: Buffer): Buffer =>
  Buffer.concat(decodeFrames(log).frames.map(({ payload }) => Buffer.from(payload)));

const openPipe = (life: Life): { pipe: OutputPipe; posted: Buffer[] } => {
  const posted: Buffer[] = [];
  const { frames } = decodeFrames(life.log);
  const resume: OutputPipeOptions['resume'] = {
    progress: life.progress,
    logged: { frames: frames.length, stdout: payloadOf(life.log).length, stderr: 0 },
  };
  const pipe = new OutputPipe({
    secrets,
    now: () => 0,
    resume,
    post: (bytes) => {
      posted.push(Buffer.from(bytes));
      pipe.credit(bytes.length);
    },
  });
  return { pipe, posted };
};

/** Feeds the source from the checkpoint on, in pieces; `checkpoints` are offsets at which one is asked for. */
const live = (
  life: Life,
  { to, piece, checkpoint }: { to: number; piece: number; checkpoint: number },
): { pipe: OutputPipe; life: () => Life } => {
  const { pipe, posted } = openPipe(life);
  let progress = life.progress;
  for (let at = life.progress.stdout.raw; at < to; at += piece) {
    void pipe.stdout.write(source.subarray(at, Math.min(to, at + piece)));
    if (at >= checkpoint && progress === life.progress) progress = pipe.checkpoint();
  }
  return { pipe, life: () => ({ log: Buffer.concat([life.log, ...posted]), progress }) };
};

const expected = (): string => {
  const redactor = secrets.stream();
  return Buffer.concat([redactor.write(source), redactor.end()]).toString();
};

test('wherever a runner dies and whatever its checkpoint, the log goes on without a byte lost, repeated or leaked', () => {
  const whole = expected();
  expect(whole).not.toContain(secret);
  expect(whole.split(redactionMark).length).toBeGreaterThan(5);
  for (let death = 1; death < source.length; death += 3) {
    for (const [piece, checkpoint] of [
      [1, death / 2],
      [7, 0],
      [64, death - 20],
    ] as const) {
      const first = live({ log: Buffer.alloc(0), progress: start }, { to: death, piece, checkpoint });
      // What was complete has reached the log; what waited for the end of its line, or was withheld, has not.
      const left = first.life();
      const second = live(left, { to: source.length, piece: 11, checkpoint: source.length });
      second.pipe.end();
      const { log } = second.life();
      const { frames } = decodeFrames(log);
      expect(frames.map(({ seq }) => seq)).toEqual(frames.map((_, index) => index));
      expect(payloadOf(log).toString(), `died at ${death}, pieces of ${piece}`).toBe(whole);
    }
  }
});

test('a checkpoint is never ahead of what was posted, nor amid a secret', () => {
  const { pipe, posted } = openPipe({ log: Buffer.alloc(0), progress: start });
  for (let at = 0; at < source.length; at += 1) {
    void pipe.stdout.write(source.subarray(at, at + 1));
    const { raw, redacted } = pipe.checkpoint().stdout;
    expect(payloadOf(Buffer.concat(posted)).length).toBeGreaterThanOrEqual(redacted);
    const before = secrets.stream();
    const prefix = Buffer.concat([before.write(source.subarray(0, raw)), before.end()]);
    expect(prefix.length).toBe(redacted);
  }
});
