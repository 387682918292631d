const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `1h30m` in milliseconds; the API server has checked the form. */
export const durationMs = (text: string): number => {
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(/([0-9]+)(ms|s|m|h)/g))
    sum += Number(amount) * (unitMs[unit ?? ''] ?? 0);
  return sum;
};

export const defaults = {
  startDeadlineMs: 24 * 3_600_000,
  queueTimeoutMs: 3_600_000,
} as const;
