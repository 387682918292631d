import { readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import type { WorkflowRun } from '@outrider/kinds';
import { stepOf } from '../e2e/faults-fixture.ts';
import { waitFor } from '../servers/wait.ts';
import { connections } from './processes.ts';
import { sizeOf, type Site, type Subject } from './site.ts';

/** An attempt that stands still at one point of its life until it is released. */
export interface Held extends Subject {
  /** Lets it go on, after the fault. */
  release(): Promise<void>;
  /** Waits for the end, and says how it ended and what should have been. */
  readonly expected: {
    readonly result: string;
    readonly executions: number;
    /** Of the whole log; undefined where the script is ended before its last line. */
    readonly logDigest: () => string | undefined;
  };
}

export interface Moment {
  readonly name: string;
  reach(site: Site): Promise<Held>;
}

const sha256 = (...parts: readonly (string | Uint8Array)[]): string => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};

const truth = {
  result: 'Failed NonZeroExit 7',
  executions: 1,
  logDigest: () => sha256('begun\nended\n'),
};

const nothing = (): Promise<void> => Promise.resolve();

const queued: Moment = {
  name: 'queued',
  reach: async (site) => {
    await site.suspend(true);
    const subject = await site.startSubject();
    subject.witness.open();
    await site.stack.waitForRun(subject.name, 'to wait', (run) => stepOf(run).reason === 'NoRunner');
    return { ...subject, expected: truth, release: () => site.suspend(false) };
  },
};

const attemptsOf = (status: WorkflowRun['status']): number => status?.steps?.[0]?.attempts ?? 0;

/**
 * Undefined when the runner's poll was answered before the offer was made: an offer goes out only with a poll, and a frozen
 * runner opens none.
 */
const offerToFrozen = async (site: Site): Promise<Subject | undefined> => {
  const { process } = site.runner;
  const subject = await site.startSubject({ beforeItStarts: () => process.signal('SIGSTOP') });
  try {
    await site.stack.waitForRun(subject.name, 'to be offered', ({ status }) => attemptsOf(status) > 0, 3000);
    return subject;
  } catch {
    await site.stack.mustCli('cancel', subject.name);
    process.signal('SIGCONT');
    await site.stack.waitForRunner('worker', 'Online');
    return undefined;
  }
};

const offered: Moment = {
  name: 'offered',
  reach: async (site) => {
    for (let tries = 1; tries <= 10; tries++) {
      const subject = await offerToFrozen(site);
      if (subject === undefined) continue;
      const { process } = site.runner;
      subject.witness.open();
      return {
        ...subject,
        expected: truth,
        release: async () => {
          if (process.running()) process.signal('SIGCONT');
        },
      };
    }
    throw new Error('the runner was never frozen with an open poll');
  },
};

const connecting: Moment = {
  name: 'connecting to the target',
  reach: async (site) => {
    await site.dropSessions();
    const { pid } = site.ssh.sshd;
    process.kill(pid, 'SIGSTOP');
    const subject = await site.startSubject();
    subject.witness.open();
    await waitFor('the runner to be connected', () => connections(site.ssh.sshd.port) > 0);
    return { ...subject, expected: truth, release: async () => void process.kill(pid, 'SIGCONT') };
  },
};

const running: Moment = {
  name: 'running, silent',
  reach: async (site) => {
    const subject = await site.startSubject();
    await subject.witness.begun();
    return { ...subject, expected: truth, release: async () => subject.witness.open() };
  },
};

const parts = 8;
const partBytes = 250_000;
/** Bytes that are no text and never repeat; `tee` leaves a copy on the target. */
const generator = (copy: string): string => `i=0
while [ $i -lt ${parts} ]; do
  openssl enc -aes-128-ctr -K "$(printf %032d $i)" -iv 00000000000000000000000000000000 </dev/zero 2>/dev/null | head -c ${partBytes}
  i=$((i + 1))
  sleep 0.5
done | tee -a '${copy}'
exit 7
`;

const streaming: Moment = {
  name: 'running, streaming',
  reach: async (site) => {
    const copy = site.copyFile(`stream-${Date.now()}`);
    const subject = await site.startSubject({ after: generator(copy) });
    subject.witness.open();
    await waitFor('output to stream', () => sizeOf(copy) >= 2 * partBytes);
    const logDigest = (): string => {
      const generated = readFileSync(copy);
      if (generated.length !== parts * partBytes) throw new Error(`${generated.length} bytes were generated`);
      return sha256('begun\nended\n', generated);
    };
    return { ...subject, expected: { ...truth, logDigest }, release: nothing };
  },
};

const ended: Moment = {
  name: 'ended, not yet reported',
  reach: async (site) => {
    const subject = await site.startSubject();
    await subject.witness.begun();
    const { process } = site.stack.operator;
    process.signal('SIGSTOP');
    subject.witness.open();
    await waitFor('the script to end', () => subject.witness.ends() === 1);
    return {
      ...subject,
      expected: truth,
      release: () => site.thawOperator(),
    };
  },
};

const cancelling: Moment = {
  name: 'being cancelled',
  reach: async (site) => {
    const subject = await site.startSubject({ before: `trap '' TERM\n` });
    await subject.witness.begun();
    await site.stack.mustCli('cancel', subject.name);
    const expected = { result: 'Cancelled Cancelled', executions: 1, logDigest: () => undefined };
    return { ...subject, expected, release: nothing };
  },
};

/** After the fault the same resource is deleted and applied again: it must not run again. */
const finished: Moment = {
  name: 'finished',
  reach: async (site) => {
    const subject = await site.startSubject();
    subject.witness.open();
    const run = await site.stack.waitForEnd(subject.name);
    return {
      ...subject,
      expected: { ...truth, result: 'AlreadyRan', logDigest: () => undefined },
      release: async () => {
        await site.stack.kubectl('delete', 'workflowrun', subject.name);
        const { apiVersion, kind, spec } = run;
        await site.stack.apply({ apiVersion, kind, metadata: { name: subject.name }, spec });
      },
    };
  },
};

export const moments = { queued, offered, connecting, running, streaming, ended, cancelling, finished };
