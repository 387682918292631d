import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { Board } from '../dispatch/board.ts';
import { aTaskRecord, start } from '../testing/builders.ts';
import { addTaskGauges } from './task-gauges.ts';

test('what waits is counted by state, with the age of what waits longest', async () => {
  const now = (): number => start + 90_000;
  const board = new Board({ now });
  board.apply([
    aTaskRecord({ id: 'a', state: 'Ready', readyAt: start }),
    aTaskRecord({ id: 'b', state: 'Ready', readyAt: start + 60_000 }),
    aTaskRecord({ id: 'c', state: 'Unknown', epoch: 1, unknownSince: start + 30_000 }),
    aTaskRecord({ id: 'd', state: 'Succeeded', epoch: 1 }),
  ]);
  const registry = new Registry();
  addTaskGauges(registry, board, now);
  const text = await registry.metrics();
  for (const line of [
    'outrider_tasks{state="Ready"} 2',
    'outrider_tasks{state="Unknown"} 1',
    'outrider_tasks{state="AwaitingHuman"} 0',
    'outrider_oldest_task_age_seconds{state="Ready"} 90',
    'outrider_oldest_task_age_seconds{state="Unknown"} 60',
    'outrider_oldest_task_age_seconds{state="AwaitingHuman"} 0',
  ])
    expect(text.split('\n')).toContain(line);
});
