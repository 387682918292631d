import { readFileSync } from 'node:fs';

/** The value below which this share of the values lies (nearest rank). */
export const percentile = (values: readonly number[], share: number): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
};

/** Resident memory of a process in MB (10^6 bytes). */
export const residentMb = (pid: number): number => {
  const [, kib = '0'] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return (Number(kib) * 1024) / 1e6;
};

const writeVerbs = new Set(['POST', 'PUT', 'PATCH', 'APPLY', 'DELETE', 'DELETECOLLECTION']);
/** Leases are renewed whether anything runs or not; reviews ask and change nothing. */
const notCounted = /^(leases|.*reviews)$/;

/** Writes that an API server has answered so far, by resource, from its `apiserver_request_total`. */
export const countWrites = (metrics: string): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>();
  for (const [, labels = '', value = '0'] of metrics.matchAll(
    /^apiserver_request_total\{([^}]*)\} (\S+)$/gm,
  )) {
    const label = (name: string): string => new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(labels)?.[1] ?? '';
    if (!writeVerbs.has(label('verb')) || notCounted.test(label('resource'))) continue;
    const key = [label('resource'), label('subresource')].filter((part) => part !== '').join('/');
    counts.set(key, (counts.get(key) ?? 0) + Number(value));
  }
  return counts;
};

export const difference = (
  after: ReadonlyMap<string, number>,
  before: ReadonlyMap<string, number>,
): Map<string, number> =>
  new Map(
    [...after]
      .map(([key, value]) => [key, value - (before.get(key) ?? 0)] as const)
      .filter(([, value]) => value > 0),
  );
