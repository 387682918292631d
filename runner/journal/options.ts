export interface JournalOptions {
  /** Made if absent, mode 0700; one runner process at a time. */
  readonly folder: string;
  /** Room for the logs of all attempts. @default 1 GiB */
  readonly maxBytes?: number;
  /** Room for the log of one attempt, reserved when it is accepted: `maxBytes / slotBytes` attempts at once. @default 64 MiB */
  readonly slotBytes?: number;
  /** From this length on the record log is compacted while the runner runs. @default 64 MiB */
  readonly compactBytes?: number;
  /** Room for acknowledged results in the record log. @default 32 MiB */
  readonly keptBytes?: number;
  /** So many bytes at the end of the record log were cut or damaged; nothing of them had been acknowledged. */
  readonly onCut?: (bytes: number) => void;
  /** Milliseconds since the Unix epoch. @default Date.now */
  readonly now?: () => number;
}
