import { describe, expect, test } from 'vitest';
import { newRun, result } from '@outrider/operator/ledger/invariants/builders';
import { eventually } from './eventually.ts';
import {
  accept,
  databaseOf,
  expiresAt,
  graceMs,
  leaseExpiresAt,
  now,
  offer,
  openSession,
  readyRun,
  runner,
  usePostgres,
} from './ledger-postgres-fixture.ts';

const postgres = usePostgres();

/** Two operators on an empty ledger. */
const two = async () => {
  const url = await postgres.server.createDatabase();
  const one = await postgres.open(url);
  const other = await postgres.open(url);
  return { url, one, other };
};

const shuffled = <T>(items: readonly T[]): T[] =>
  items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);

describe('two operators', () => {
  test('that offer the same 200 tasks to different runners give each to exactly one', async () => {
    const { one, other } = await two();
    const runs = await Promise.all(
      Array.from({ length: 20 }, (_, index) => readyRun(one, `run-${index}`, 10)),
    );
    const tasks = runs.flat();
    const left = await openSession(one, runner('left'));
    const right = await openSession(other, runner('right'));
    const offers = await Promise.all([
      ...shuffled(tasks).map((task) => offer(one, left, [task])),
      ...shuffled(tasks).map((task) => offer(other, right, [task])),
    ]);
    const given = offers.flatMap((answer) => answer.tasks.map(({ id }) => id));
    expect(given.toSorted()).toEqual(tasks.toSorted());
    expect(offers.flatMap(({ refused }) => refused).toSorted()).toEqual(tasks.toSorted());
    const accepted = await Promise.all([
      ...tasks.map((task) => accept(one, left, [task])),
      ...tasks.map((task) => accept(other, right, [task])),
    ]);
    const statuses = accepted.flatMap(({ answers }) => answers.map(({ status }) => status));
    expect(statuses.filter((status) => status === 'Recorded').length).toBe(200);
    expect(statuses.filter((status) => status === 'Refused').length).toBe(200);
  });

  test('that report on tasks of the same runs in every order wait for each other and never in a circle', async () => {
    const { url, one, other } = await two();
    const runs = await Promise.all(
      Array.from({ length: 10 }, (_, index) => readyRun(one, `run-${index}`, 12)),
    );
    const tasks = runs.flat();
    const sides = [
      { ledger: one, by: await openSession(one, runner('left')) },
      { ledger: other, by: await openSession(other, runner('right')) },
    ];
    await Promise.all(
      sides.map(async ({ ledger, by }, index) => {
        const mine = tasks.filter((_, at) => at % 2 === index);
        await offer(ledger, by, mine);
        await accept(ledger, by, mine);
        const reports = shuffled(mine).map((task) => ({
          task,
          epoch: 1,
          kind: 'Result' as const,
          result: result('Succeeded'),
        }));
        // In threes, so that each command writes to several runs.
        const batches = Array.from({ length: reports.length / 3 }, (_, at) =>
          reports.slice(at * 3, at * 3 + 3),
        );
        const answers = await Promise.all(
          batches.map((batch) => ledger.recordReports({ by, reports: batch, now })),
        );
        expect(answers.flatMap((answer) => answer.answers.map(({ status }) => status))).toEqual(
          mine.map(() => 'Recorded'),
        );
      }),
    );
    const open = await one.openRuns();
    expect(open.flatMap((run) => run.tasks.map(({ state }) => state))).toEqual(tasks.map(() => 'Succeeded'));
    const [deadlocks] = await postgres.server.query(
      `SELECT deadlocks::integer FROM pg_stat_database WHERE datname = '${databaseOf(url)}'`,
    );
    expect(deadlocks).toEqual({ deadlocks: 0 });
  });

  test('of which one accepts while the other expires the offer agree on who was first', async () => {
    const { one, other } = await two();
    const tasks = await readyRun(one, 'run', 100);
    const by = await openSession(one, runner('left'));
    await offer(one, by, tasks);
    const sweeps = Array.from({ length: 20 }, () => other.expire({ now: expiresAt, graceMs }));
    const accepts = shuffled(tasks).map((task) => accept(one, by, [task], expiresAt - 1));
    const answers = (await Promise.all(accepts)).flatMap((answer) => answer.answers);
    await Promise.all(sweeps);
    const stored = new Map((await one.readRun('run'))?.tasks.map((task) => [task.id, task.state]));
    for (const { task, status, error } of answers) {
      expect([task, stored.get(task)]).toEqual([task, status === 'Recorded' ? 'Claimed' : 'Ready']);
      expect(error?.code).toBe(status === 'Recorded' ? undefined : 'OfferExpired');
    }
    expect(answers.length).toBe(100);
  });

  test('never give more attempts at a time to a target than it takes', async () => {
    const { one, other } = await two();
    const runs = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        readyRun(one, `run-${index}`, 2, { lock: { key: 'Target/team-a/db-1', max: 3 } }),
      ),
    );
    const left = await openSession(one, runner('left'));
    const right = await openSession(other, runner('right'));
    const offers = await Promise.all(
      runs
        .flat()
        .map((task, index) => (index % 2 === 0 ? offer(one, left, [task]) : offer(other, right, [task]))),
    );
    expect(offers.flatMap(({ tasks }) => tasks).length).toBe(3);
    expect(offers.flatMap(({ waiting }) => waiting).map(({ reason }) => reason)).toEqual(
      Array.from({ length: 37 }, () => 'TargetBusy'),
    );
    expect((await one.listLocks({ key: 'Target/team-a/db-1' })).length).toBe(3);
  });

  test('never give more attempts at a time to a namespace than its quota', async () => {
    const { one, other } = await two();
    const runs = await Promise.all(
      Array.from({ length: 20 }, (_, index) => readyRun(one, `run-${index}`, 2)),
    );
    const left = await openSession(one, runner('left'));
    const right = await openSession(other, runner('right'));
    const offers = await Promise.all(
      runs
        .flat()
        .map((task, index) =>
          index % 2 === 0 ? offer(one, left, [task], 5) : offer(other, right, [task], 5),
        ),
    );
    expect(offers.flatMap(({ tasks }) => tasks).length).toBe(5);
    expect(new Set(offers.flatMap(({ waiting }) => waiting).map(({ reason }) => reason))).toEqual(
      new Set(['QuotaReached']),
    );
  });

  test('make one run of a resource that both see, and bind a token to one key', async () => {
    const { one, other } = await two();
    const names = Array.from({ length: 40 }, (_, index) => `patch-${index}`);
    const twins = await Promise.all(
      [one, other].flatMap((ledger, index) =>
        names.map((name) =>
          ledger.createRun({
            run: newRun(`${name}-${index}`, now, { name, specDigest: 'same' }),
            tasks: [],
          }),
        ),
      ),
    );
    expect(twins.filter(({ outcome }) => outcome === 'Created').length).toBe(40);
    expect(twins.filter(({ outcome }) => outcome === 'AlreadyRan').length).toBe(40);
    const token = { namespace: 'team-a', tags: null, local: false, createdBy: 'alice', expiresAt: now + 1 };
    await one.createRegistrationToken({ hash: 'hash', ...token });
    const redeemed = await Promise.all(
      [one, other, one, other].map((ledger, index) =>
        ledger.redeemRegistrationToken({ hash: 'hash', clientId: `key-${index}`, now }),
      ),
    );
    expect(redeemed.map(({ outcome }) => outcome).toSorted()).toEqual(['Bound', 'Used', 'Used', 'Used']);
  });

  test('supersede a session once: nothing is offered to the old one after the new one is known', async () => {
    const { one, other } = await two();
    const tasks = await readyRun(one, 'run', 60);
    const old = await openSession(one, runner('left'));
    const young = { ...old, session: 'session-young' };
    const offers = tasks.map((task) => offer(one, old, [task]));
    const opened = other.openSession({ by: young, inventory: [], now, leaseExpiresAt });
    const outcomes = await Promise.allSettled(offers);
    await opened;
    const refused = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [outcome.reason as unknown] : [],
    );
    for (const reason of refused) expect(reason).toMatchObject({ code: 'SessionSuperseded' });
    // What was offered before was taken back by the new session, which does not know it.
    const states = (await one.readRun('run'))?.tasks.map(({ state }) => state);
    expect(new Set(states)).toEqual(new Set(['Ready']));
  });
});

describe('the term of the leader', () => {
  test('is given once, however many take it at the same time', async () => {
    const { one, other } = await two();
    const terms = await Promise.all(
      Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? one : other).takeTerm()),
    );
    expect(terms.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  });

  test('fences the leader before: nothing of it is applied once the next one has its term', async () => {
    const { one, other } = await two();
    let term = await one.takeTerm();
    const made: string[] = [];
    /** Goes on until it is refused. */
    const lead = async (line: number, mine: number): Promise<unknown> => {
      for (let index = 0; ; index += 1) {
        const uid = `run-${mine}-${line}-${index}`;
        try {
          await one.createRun({ run: newRun(uid, now), tasks: [], term: mine });
          made.push(uid);
        } catch (error) {
          return error;
        }
      }
    };
    for (let round = 1; round <= 15; round += 1) {
      const mine = term;
      const lines = Array.from({ length: 10 }, (_, line) => lead(line, mine));
      await eventually(() => expect(made.length).toBeGreaterThan(round * 20));
      term = await other.takeTerm();
      expect(term).toBe(mine + 1);
      const known = (await other.openRuns()).map(({ run }) => run.uid);
      for (const error of await Promise.all(lines)) expect(error).toMatchObject({ code: 'TermSuperseded' });
      // What the next leader sees when it has its term is all that the one before ever did.
      expect(known.toSorted()).toEqual(made.toSorted());
    }
    expect((await other.openRuns()).length).toBe(made.length);
    await expect(one.expire({ now, graceMs, term: term - 1 })).rejects.toMatchObject({
      code: 'TermSuperseded',
      message: `This replica leads with term ${term - 1}, and another one has led since with term ${term}; nothing was changed.`,
    });
  });
});
