/** Value of a command-line flag; a list becomes one comma-separated value. */
export type FlagValue = string | number | boolean | readonly string[];

/** `{ 'secure-port': 0 }` as `['--secure-port=0']`. Undefined values are left out. */
export function flags(values: Readonly<Record<string, FlagValue | undefined>>): string[] {
  return Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}=${Array.isArray(value) ? value.join(',') : String(value)}`],
  );
}
