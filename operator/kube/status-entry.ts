import type { KubeObject, ResourceType } from './contract.ts';
import { plainJson } from './merge-patch.ts';

export type WithStatus = KubeObject & { readonly status?: unknown };

/** What is wanted and known of one object's status. Times are monotonic milliseconds. */
export interface StatusEntry {
  readonly type: ResourceType;
  /** As last seen, by the caller's cache or after a conflict. */
  object: KubeObject;
  /** Undefined: nothing to do. */
  wanted: unknown;
  urgent: boolean;
  dueAt: number;
  /** What the last write asked for, what the API server made of it, and its resourceVersion. */
  written: { readonly asked: unknown; readonly status: unknown; readonly version: string } | undefined;
  writtenAt: number;
  failures: number;
  /** A write is on its way. */
  busy: boolean;
}

export const newStatusEntry = (type: ResourceType, object: KubeObject): StatusEntry => ({
  type,
  object,
  wanted: undefined,
  urgent: false,
  dueAt: 0,
  written: undefined,
  writtenAt: -Infinity,
  failures: 0,
  busy: false,
});

/** resourceVersions of one resource are numbers that grow. */
const isOlder = (version: string, than: string): boolean => BigInt(version) < BigInt(than);

/** Takes in an object unless a newer one was seen. */
export const seen = (entry: StatusEntry, object: KubeObject): void => {
  if (!isOlder(object.metadata.resourceVersion, entry.object.metadata.resourceVersion)) entry.object = object;
};

export interface KnownStatus {
  /** What it was asked to be; differs from `status` where the API server prunes. */
  readonly asked: unknown;
  readonly status: unknown;
  readonly version: string;
}

/** What the API server is known to hold: the newer of what was seen and our own last write. */
export const knownStatus = ({ object, written }: StatusEntry): KnownStatus => {
  const { resourceVersion } = object.metadata;
  if (written !== undefined && !isOlder(written.version, resourceVersion)) return written;
  const status = plainJson((object as WithStatus).status ?? {});
  return { asked: status, status, version: resourceVersion };
};
