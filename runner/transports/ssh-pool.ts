import { createHash } from 'node:crypto';
import type { ClientChannel } from 'ssh2';
import { ChannelRefused, connectSsh, type SshConnection, type SshOptions } from './ssh-connection.ts';

export interface PoolKey {
  /** Kubernetes namespace on whose behalf: a connection never serves two. */
  readonly namespace: string;
}

export interface PoolOptions {
  /** Time that an unused connection is kept. Default: 60,000 ms. */
  readonly idleMs?: number;
  /** Unused connections that are kept at most; beyond that the one that has rested longest goes. Default: 64. */
  readonly maxIdle?: number;
  /** Channels for work on one connection. Default: 8, of the 10 that sshd's MaxSessions permits. */
  readonly channels?: number;
  readonly connect?: (options: SshOptions) => Promise<SshConnection>;
}

interface Slot {
  readonly connection: SshConnection;
  users: number;
  idle?: NodeJS.Timeout;
}

/** A started command, and the connection it holds until it is released. */
export interface LeasedChannel {
  readonly channel: ClientChannel;
  readonly connection: SshConnection;
  readonly reused: boolean;
  /** Gives the place back; the second call does nothing. */
  release(): void;
}

/**
 * Connections by namespace, address, user, host key and credential. A connection carries at most `channels` commands;
 * more open another one, so that no step waits for a slow neighbour while its timeout runs.
 */
export class SshPool {
  readonly #slots = new Map<string, Slot[]>();
  readonly #idleMs: number;
  readonly #maxIdle: number;
  /** Unused ones and what they are kept under, in the order in which they came to rest. */
  readonly #resting = new Map<Slot, string>();
  readonly #channels: number;
  readonly #connect: (options: SshOptions) => Promise<SshConnection>;

  constructor(options: PoolOptions = {}) {
    this.#idleMs = options.idleMs ?? 60_000;
    this.#maxIdle = options.maxIdle ?? 64;
    this.#channels = options.channels ?? 8;
    this.#connect = options.connect ?? connectSsh;
  }

  /** Open connections, used or idle. */
  get size(): number {
    return [...this.#slots.values()].reduce((sum, slots) => sum + slots.length, 0);
  }

  /**
   * Starts a command. A kept connection that turns out to be dead or full is replaced by a new one, once. After a line was
   * lost ask for a new one (`fresh`): those that are kept may be dead as well, and not know it yet.
   */
  async exec(
    key: PoolKey,
    options: SshOptions,
    command: string,
    { fresh = false }: { readonly fresh?: boolean } = {},
  ): Promise<LeasedChannel> {
    const id = poolId(key, options);
    const kept = fresh ? undefined : this.#take(id);
    if (kept !== undefined) {
      try {
        return await this.#start(id, kept, { command, reused: true });
      } catch {
        kept.connection.end();
      }
    }
    const slot: Slot = { connection: await this.#connect(options), users: 1 };
    this.#add(id, slot);
    return this.#start(id, slot, { command, reused: false });
  }

  /**
   * Starts a short command beside the work, past the limit: on `connection` if that still has room, else on a new
   * connection that ends with it.
   */
  async execBeside(
    connection: SshConnection | undefined,
    options: SshOptions,
    command: string,
  ): Promise<LeasedChannel> {
    if (connection?.open === true) {
      const channel = await connection.exec(command).catch((error: unknown) => {
        if (error instanceof ChannelRefused || !connection.open) return undefined;
        throw error;
      });
      if (channel !== undefined) return { channel, connection, reused: true, release: () => undefined };
    }
    const fresh = await this.#connect(options);
    try {
      return {
        channel: await fresh.exec(command),
        connection: fresh,
        reused: false,
        release: () => fresh.end(),
      };
    } catch (error) {
      fresh.end();
      throw error;
    }
  }

  close(): void {
    for (const slot of [...this.#slots.values()].flat()) {
      clearTimeout(slot.idle);
      slot.connection.end();
    }
    this.#slots.clear();
    this.#resting.clear();
  }

  async #start(
    id: string,
    slot: Slot,
    { command, reused }: { command: string; reused: boolean },
  ): Promise<LeasedChannel> {
    try {
      const channel = await slot.connection.exec(command);
      let released = false;
      const release = (): void => {
        if (!released) this.#release(id, slot);
        released = true;
      };
      return { channel, connection: slot.connection, reused, release };
    } catch (error) {
      this.#release(id, slot);
      throw error;
    }
  }

  #take(id: string): Slot | undefined {
    const slot = this.#slots.get(id)?.find((each) => each.connection.open && each.users < this.#channels);
    if (slot === undefined) return undefined;
    this.#resting.delete(slot);
    clearTimeout(slot.idle);
    slot.users++;
    return slot;
  }

  #add(id: string, slot: Slot): void {
    this.#slots.set(id, [...(this.#slots.get(id) ?? []), slot]);
    void slot.connection.closed.then(() => this.#drop(id, slot));
  }

  #release(id: string, slot: Slot): void {
    slot.users--;
    if (slot.users > 0 || !slot.connection.open) return;
    slot.idle = setTimeout(() => this.#end(id, slot), this.#idleMs).unref();
    this.#resting.set(slot, id);
    if (this.#resting.size <= this.#maxIdle) return;
    const [longest] = this.#resting;
    if (longest !== undefined) this.#end(longest[1], longest[0]);
  }

  #end(id: string, slot: Slot): void {
    this.#drop(id, slot);
    slot.connection.end();
  }

  #drop(id: string, slot: Slot): void {
    this.#resting.delete(slot);
    clearTimeout(slot.idle);
    const rest = (this.#slots.get(id) ?? []).filter((each) => each !== slot);
    if (rest.length === 0) this.#slots.delete(id);
    else this.#slots.set(id, rest);
  }
}

/** Secrets take part as a hash only. */
function poolId({ namespace }: PoolKey, { host, port, user, auth, hostKey }: SshOptions): string {
  const identity = [
    namespace,
    host,
    port,
    user,
    hostKey.pinned ?? null,
    hostKey.knownHosts ?? null,
    hostKey.learn === undefined,
    auth.privateKey ?? null,
    auth.passphrase ?? null,
    auth.password ?? null,
  ];
  return createHash('sha256').update(JSON.stringify(identity)).digest('base64');
}
