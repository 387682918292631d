/** The store that is built in: `secret:NAME` is a Secret of the namespace. */
export const builtInStore = 'secret';

/** STORE of `STORE:NAME`. */
export const storeOf = (credential: string): string =>
  credential.slice(0, Math.max(0, credential.indexOf(':')));

/** Stores that these credentials name and that do not exist, sorted, each once. */
export const missingStores = (
  credentials: readonly (string | undefined)[],
  exists: (store: string) => boolean,
): string[] => {
  const named = new Set(
    credentials.flatMap((credential) => (credential === undefined ? [] : [storeOf(credential)])),
  );
  return [...named].filter((store) => store !== builtInStore && !exists(store)).sort();
};
