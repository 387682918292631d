import { basename } from 'node:path';
import { exitStatus } from './errors.ts';
import { createSink } from './output/sink.ts';
import { runProgram } from './program.ts';

/** kubectl finds plugins by the name kubectl-NAME; what starts us from another file says its name by the environment. */
const calledAs = basename(process.env['OUTRIDER_PROGRAM'] ?? process.argv[1] ?? '');
const program = calledAs.startsWith('kubectl-outrider') ? 'kubectl outrider' : 'outrider';

const interrupted = new AbortController();
/** The first signal ends what can say goodbye, within a second; another one ends at once. */
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    interrupted.abort();
    setTimeout(() => process.exit(exitStatus.interrupted), 1000).unref();
  });
/** A write to a closed pipe is told to whoever writes. */
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

process.exitCode = await runProgram(
  {
    env: process.env,
    program,
    out: createSink(process.stdout, process.env),
    err: createSink(process.stderr, process.env),
    stdinIsTTY: process.stdin.isTTY,
    interrupted: interrupted.signal,
    now: Date.now,
  },
  process.argv.slice(2),
);
