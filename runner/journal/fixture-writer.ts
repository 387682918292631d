import { parseArgs } from 'node:util';
import { finish, frame, instant, record, ref } from './fixture.ts';
import { openJournal } from './journal.ts';

/**
 * Journals attempts in a loop until it is killed or the disk is full, and says after each call that it was answered:
 * `open`, then lines of JSON. With --big it logs three frames of 40,000 bytes and says what the sealed log holds.
 * Run as a process of its own.
 */
const { values } = parseArgs({
  options: { folder: { type: 'string' }, lanes: { type: 'string' }, big: { type: 'boolean' } },
});

const say = (line: unknown): void => {
  process.stdout.write(`${JSON.stringify(line)}\n`);
};

const journal = await openJournal({ folder: values.folder ?? '', maxBytes: 1e9, slotBytes: 1e6 });
say('open');

const lane = async (name: number): Promise<void> => {
  for (let i = 0; ; i += 1) {
    const attempt = ref(`${name}-${i}`);
    await journal.accepted(attempt, record);
    say({ ...attempt, state: 'Accepted' });
    await journal.started(attempt, instant);
    say({ ...attempt, state: 'Started' });
    for (let seq = 0; seq < 20; seq += 1)
      await journal.append(attempt, frame(seq, `line ${seq} of ${attempt.task}\n`));
    const result = await finish(journal, attempt);
    say({ ...attempt, state: 'Finished', result });
    if (i % 3 !== 0) continue;
    await journal.acknowledged(attempt);
    say({ ...attempt, state: 'Acknowledged' });
  }
};

if (values.big === true) {
  await journal.accepted(ref('big'), record);
  for (let seq = 0; seq < 3; seq += 1) await journal.append(ref('big'), frame(seq, 'x'.repeat(40_000)));
  const { length } = await journal.sealLog(ref('big'));
  say(Buffer.from((await journal.readLog(ref('big'), 0, length)).subarray(20)).toString());
}

await Promise.all(Array.from({ length: Number(values.lanes ?? 0) }, (_, name) => lane(name))).catch(
  (error: unknown) => {
    say({ failed: error });
  },
);
await journal.close();
