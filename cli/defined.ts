type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** The object without the properties that are undefined. */
export const defined = <T extends object>(value: T): Defined<T> =>
  Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as Defined<T>;
