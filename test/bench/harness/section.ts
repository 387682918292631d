/** One row of a table: a figure, and whether it meets its goal where there is one. */
export interface Row {
  readonly figure: string;
  readonly value: string;
  readonly goal?: string;
  readonly met?: boolean;
}

/** What a part of the bench found. */
export interface Section {
  readonly title: string;
  /** Sentences before the table: what was done, with how much. */
  readonly text: string;
  readonly rows: readonly Row[];
  /** Sentences after it. */
  readonly notes?: string;
}

export const ms = (value: number): string => `${value.toFixed(value < 10 ? 2 : 1)} ms`;
export const mb = (value: number): string => `${value.toFixed(0)} MB`;
export const times = (value: number): string => `${value.toFixed(2)} ×`;
export const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

/** A row with a goal that is an upper bound. */
export const atMost = (
  figure: string,
  value: number,
  { goal, show }: { goal: number; show: (value: number) => string },
): Row => ({ figure, value: show(value), goal: `≤ ${show(goal)}`, met: value <= goal });

/** A row with a goal that is a lower bound. */
export const atLeast = (
  figure: string,
  value: number,
  { goal, show }: { goal: number; show: (value: number) => string },
): Row => ({ figure, value: show(value), goal: `≥ ${show(goal)}`, met: value >= goal });
