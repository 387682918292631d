import { cell, type Observed } from './harness.ts';
import { leaderKills, type LeaderKills } from './replicas-leader-kills.ts';

const observe = async (options: LeaderKills): Promise<Observed> => {
  const report = await leaderKills({ ...options, onProgress: (text) => console.log(text) });
  console.log(JSON.stringify(report));
  return {
    result: `${report.trueResults} true results under ${report.kills} kills`,
    expectedResult: `${options.runs} true results under ${options.kills} kills`,
    executions: report.executions,
    expectedExecutions: options.runs * 3,
    left: [...report.wrong, ...report.miscounted],
  };
};

const kills = (runs: number, times: number, options: { quick: boolean; timeoutMs: number }): void =>
  cell(
    {
      component: 'Operator, three replicas',
      moment: `${runs} runs of 3 steps`,
      fault: `the leader killed ${times} times, at random`,
      times: 'Short',
      quick: options.quick,
    },
    () => observe({ runs, kills: times, seed: 20_261_122 }),
    options.timeoutMs,
  );

kills(100, 5, { quick: true, timeoutMs: 300_000 });
kills(2000, 50, { quick: false, timeoutMs: 3_600_000 });
