/** Named bundles of key material, each a map of file name to PEM text. */
export interface KeyStore {
  load(name: string): Promise<KeyBundle | undefined>;
  /**
   * Creates the bundle and returns what is stored afterwards: of several callers that save at once one wins, and all of them
   * get the winner's keys. An existing bundle is never overwritten.
   */
  save(name: string, data: KeyBundle): Promise<KeyBundle>;
}

export type KeyBundle = Readonly<Record<string, string>>;
