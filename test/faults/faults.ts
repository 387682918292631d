import { waitFor } from '../servers/wait.ts';
import { processWith } from './processes.ts';
import type { Site } from './site.ts';

/** Something that breaks, and how it comes back. */
export interface Fault {
  readonly component: string;
  readonly name: string;
  strike(site: Site): Promise<void>;
  /** Brings back what was broken. */
  mend(site: Site): Promise<void>;
  /** Comes back only once the attempt goes on: a drain waits for it. */
  readonly mendsAfterRelease?: boolean;
}

const pass = async (ms: number): Promise<void> => {
  const until = performance.now() + ms;
  await waitFor(`${ms} ms to pass`, () => performance.now() >= until, { timeoutMs: ms + 5000 });
};

const briefMs = 2500;
/** The lease has run out by then, and the sweep has seen it. */
const beyondLease = ({ times }: Site): number => times.leaseMs + 3000;
const longerThanLease = 'longer than its lease';

const exits = async (what: { running(): boolean; readonly name: string }): Promise<void> => {
  await waitFor(`${what.name} to exit`, () => !what.running(), { timeoutMs: 60_000 });
};

const operatorKilled: Fault = {
  component: 'Operator',
  name: 'kill -9, restarted',
  strike: (site) => site.killOperator(),
  mend: (site) => site.stack.restartOperator(),
};
const operatorStopped: Fault = {
  component: 'Operator',
  name: 'SIGTERM, restarted',
  strike: async (site) => {
    const { process } = site.stack.operator;
    process.signal('SIGTERM');
    process.signal('SIGCONT');
    await exits(process);
  },
  mend: (site) => site.stack.restartOperator(),
};
const operatorFrozen: Fault = {
  component: 'Operator',
  name: `SIGSTOP ${longerThanLease}, SIGCONT`,
  strike: async (site) => {
    site.stack.operator.process.signal('SIGSTOP');
    await pass(beyondLease(site));
  },
  mend: (site) => site.thawOperator(),
};
const runnerKilled: Fault = {
  component: 'Runner',
  name: 'kill -9, restarted',
  strike: (site) => site.killRunner(),
  mend: (site) => site.restartRunner(),
};
const runnerStopped: Fault = {
  component: 'Runner',
  name: 'SIGTERM, restarted',
  strike: async (site) => {
    site.runner.process.signal('SIGTERM');
  },
  mend: async (site) => {
    await exits(site.runner.process);
    await site.restartRunner();
  },
  mendsAfterRelease: true,
};
const runnerFrozen: Fault = {
  component: 'Runner',
  name: `SIGSTOP ${longerThanLease}, SIGCONT`,
  strike: async (site) => {
    site.runner.process.signal('SIGSTOP');
    await pass(beyondLease(site));
  },
  mend: async (site) => site.runner.process.signal('SIGCONT'),
};

const lineFault = (
  line: 'operatorLine' | 'targetLine',
  kind: 'drop' | 'reset',
  ms: number | ((site: Site) => number),
): Pick<Fault, 'strike' | 'mend'> => ({
  strike: async (site) => {
    await site[line].fail(kind);
    await pass(typeof ms === 'number' ? ms : ms(site));
  },
  mend: (site) => site[line].heal(),
});

const toOperator = 'Line runner–operator';
const toTarget = 'Line runner–target';
const lineCut: Fault = {
  component: toOperator,
  name: 'packets dropped for 2.5 s',
  ...lineFault('operatorLine', 'drop', briefMs),
};
const lineCutLong: Fault = {
  component: toOperator,
  name: `packets dropped ${longerThanLease}`,
  ...lineFault('operatorLine', 'drop', beyondLease),
};
const lineReset: Fault = {
  component: toOperator,
  name: 'connections reset for 2.5 s',
  ...lineFault('operatorLine', 'reset', briefMs),
};
const targetCut: Fault = {
  component: toTarget,
  name: 'packets dropped for 9 s',
  ...lineFault('targetLine', 'drop', 9000),
};
const targetReset: Fault = {
  component: toTarget,
  name: 'connections reset for 2.5 s',
  ...lineFault('targetLine', 'reset', briefMs),
};
const sessionsKilled: Fault = {
  component: 'Target',
  name: "sshd's session processes kill -9",
  strike: (site) => site.dropSessions(),
  mend: () => Promise.resolve(),
};
const apiServerFrozen: Fault = {
  component: 'Kubernetes API server',
  name: 'SIGSTOP for 2.5 s',
  strike: async (site) => {
    const pid = processWith('kube-apiserver', site.stack.controlPlane.pkiDir);
    process.kill(pid, 'SIGSTOP');
    await pass(briefMs);
    process.kill(pid, 'SIGCONT');
  },
  // A leader that cannot renew its Lease in time ends; then it is started again.
  mend: (site) => site.thawOperator(),
};

export const faults = {
  operatorKilled,
  operatorStopped,
  operatorFrozen,
  runnerKilled,
  runnerStopped,
  runnerFrozen,
  lineCut,
  lineCutLong,
  lineReset,
  targetCut,
  targetReset,
  sessionsKilled,
  apiServerFrozen,
};
