import type { TaskResult } from '@outrider/protocol';

export const resultOf = (outcome: 'Succeeded' | 'Failed'): TaskResult => ({
  outcome,
  exitCode: outcome === 'Succeeded' ? 0 : 1,
  startedAt: '2026-11-22T10:00:00.000Z',
  finishedAt: '2026-11-22T10:00:01.000Z',
  log: { length: 0, sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' },
});
