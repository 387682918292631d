import { appendFileSync } from 'node:fs';
import { expect, test } from 'vitest';

/** One point of the fault matrix: what is hit, when in the life of an attempt, and how. */
export interface Cell {
  /** Operator, Runner, Line runner–operator, Target, … */
  readonly component: string;
  /** Where the attempt stands when it is hit. */
  readonly moment: string;
  readonly fault: string;
  /** `Short`: leases of seconds, so that a fault can outlast one. `Production`: the defaults. */
  readonly times: 'Short' | 'Production';
  /** Runs in `make test` too; the others only in `make faults`. */
  readonly quick?: boolean;
}

/** What witnesses outside the product saw, beside what should be. */
export interface Observed {
  /** How the step ended for its user, such as `Failed NonZeroExit 7`. */
  readonly result: string;
  readonly expectedResult: string;
  /** Counted on the target. */
  readonly executions: number;
  readonly expectedExecutions: number;
  /** SHA-256 of the log as the portal gives it equals that of what the script wrote; absent where nothing can be compared. */
  readonly logEqual?: boolean;
  /** Processes and files that outlived the step. */
  readonly left: readonly string[];
}

/** A line of the record from which docs/reliability.md is generated. */
export interface CellRecord extends Cell {
  readonly observed?: Observed;
  readonly passed: boolean;
  readonly seconds: number;
}

/** `make faults` sets it to the file that collects the records; without it only quick cells run. */
const recordFile = process.env['OUTRIDER_FAULTS_RECORD'];

/** Only cells whose name it matches. */
const only = new RegExp(process.env['OUTRIDER_FAULTS_ONLY'] ?? '');

const record = (entry: CellRecord): void => {
  if (recordFile !== undefined) appendFileSync(recordFile, `${JSON.stringify(entry)}\n`);
};

/** Registers a cell as a test that compares what was observed with what should be. */
export const cell = (about: Cell, run: () => Promise<Observed>, timeoutMs = 120_000): void => {
  const name = `${about.component}, ${about.moment}: ${about.fault}`;
  if ((recordFile === undefined && about.quick !== true) || !only.test(name)) return;
  test(
    name,
    async () => {
      const start = performance.now();
      let observed: Observed | undefined;
      let passed = false;
      try {
        observed = await run();
        const { result, expectedResult, executions, expectedExecutions, logEqual, left } = observed;
        expect({ result, executions, logEqual: logEqual ?? true, left }).toEqual({
          result: expectedResult,
          executions: expectedExecutions,
          logEqual: true,
          left: [],
        });
        passed = true;
      } finally {
        const seconds = (performance.now() - start) / 1000;
        record({ ...about, ...(observed ? { observed } : {}), passed, seconds });
      }
    },
    timeoutMs,
  );
};
