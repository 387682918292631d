import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newRun } from '../invariants/builders.ts';
import { openScene, type Scene } from '../suite/scene.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.end());

describe('a term', () => {
  test('of a leader before is refused by every command of the leader', async () => {
    const { ledger } = scene;
    await scene.begin();
    const old = await ledger.takeTerm();
    const term = await ledger.takeTerm();
    expect(term).toBe(old + 1);
    const superseded = {
      code: 'TermSuperseded',
      message: `This replica leads with term ${old}, and another one has led since with term ${term}; nothing was changed.`,
    };
    const now = scene.now;
    const plan = { runUid: scene.run, revision: await scene.revision(), transitions: [] };
    const decision = {
      uid: 'd',
      runUid: scene.run,
      step: 'restart',
      target: 'web-0',
      epoch: 1,
      by: 'bob',
      reason: '',
    };
    const commands = [
      ledger.createRun({ run: newRun('late', now), tasks: [], term: old }),
      ledger.applyPlan(plan, now, old),
      ledger.requestCancel(scene.run, now, old),
      ledger.setPaused({ runUid: scene.run, paused: true, now, term: old }),
      ledger.decide({ ...decision, decision: 'Failed', now, term: old }),
      ledger.expire({ now, graceMs: 1, term: old }),
      ledger.prune({ now, runsOlderThan: 0, term: old }),
      ledger.enterRecovery({ generation: 'x', reason: '', now, term: old }),
      ledger.leaveRecovery({ by: 'alice', now, term: old }),
      ledger.advanceSequence({ term: old }),
    ];
    await Promise.all(commands.map((command) => expect(command).rejects.toMatchObject(superseded)));
    expect(await ledger.advanceSequence({ term })).toBe(1);
    expect(await ledger.advanceSequence({})).toBe(2);
    expect(await scene.task()).toMatchObject({ state: 'Ready', cancelRequested: false });
  });
});
