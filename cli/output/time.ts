const units: readonly (readonly [string, number])[] = [
  ['d', 86_400],
  ['h', 3600],
  ['m', 60],
  ['s', 1],
];

/** `0s`, `45s`, `3m20s`, `5h12m`, `12d3h`: the two largest units, the second only while the first is small. */
export const formatDuration = (ms: number): string => {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const first = units.findIndex(([, size]) => seconds >= size);
  const [unit, size] = units[first] ?? ['s', 1];
  const whole = Math.floor(seconds / size);
  const next = units[first + 1];
  const rest = next ? Math.floor((seconds % size) / next[1]) : 0;
  return next && rest > 0 && whole < 10 ? `${whole}${unit}${rest}${next[0]}` : `${whole}${unit}`;
};

/** Below ten seconds tenths count, when both instants have them. */
export const formatSpan = (from: string | undefined, to: string | undefined): string => {
  if (from === undefined || to === undefined) return '';
  const ms = Math.max(0, Date.parse(to) - Date.parse(from));
  return ms < 10_000 && from.includes('.') && to.includes('.')
    ? `${(ms / 1000).toFixed(1)}s`
    : formatDuration(ms);
};

/** Time since an instant; empty when there is none. */
export const formatAge = (instant: string | undefined, now: number): string =>
  instant === undefined ? '' : formatDuration(now - Date.parse(instant));
