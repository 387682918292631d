import type { Outcome, TaskResult } from '@outrider/protocol';
import type { NewRun, NewTask } from '../records.ts';

export const newRun = (uid: string, createdAt: number, change: Partial<NewRun> = {}): NewRun => ({
  uid,
  namespace: 'team-a',
  name: uid,
  specDigest: `digest-of-${uid}`,
  workflow: { name: 'restart-web', uid: 'workflow-uid', generation: 3, digest: 'workflow-digest' },
  steps: [{ name: 'restart', node: 'ssh-exec', fanOut: true }],
  requestedBy: 'alice',
  createdAt,
  ...change,
});

export const newTask = (
  id: string,
  runUid: string,
  index: number,
  change: Partial<NewTask> = {},
): NewTask => ({
  id,
  stepIndex: 0,
  target: `web-${index}`,
  spec: {
    namespace: 'team-a',
    run: runUid,
    runUid,
    workflow: 'restart-web',
    step: 'restart',
    node: 'ssh-exec',
    input: { script: 'systemctl restart web' },
    timeoutMs: 60_000,
  },
  tags: ['ssh'],
  local: false,
  ...change,
});

export const result = (outcome: Outcome, change: Partial<TaskResult> = {}): TaskResult => ({
  outcome,
  exitCode: outcome === 'Succeeded' ? 0 : 1,
  startedAt: '2026-11-22T10:00:00.000Z',
  finishedAt: '2026-11-22T10:00:01.000Z',
  log: { length: 0, sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' },
  ...change,
});
