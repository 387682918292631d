import { OutriderError } from '@outrider/protocol';
import type { Runner, RunnerSpec } from '@outrider/kinds';
import type { Cache } from '../kube/contract.ts';
import type { SessionHello } from '../ledger/records.ts';
import { CloneGuard } from './clone-guard.ts';
import type { AuthenticatedRunner, LiveRunner, RunnerDirectory } from './contract.ts';
import {
  effectiveNodes,
  effectiveTags,
  lacking,
  localTag,
  type Capability,
  type Demand,
} from './eligibility.ts';
import { degradedReasons, newSession, type Session } from './session.ts';

export interface SessionsOptions {
  readonly runners: Pick<Cache<Runner>, 'get' | 'onChange'>;
  readonly onlineMs: number;
  readonly now: () => number;
}

/** A replica that is silent for so long has been removed, as its runner's status says too. */
const goneAfterMs = 24 * 3_600_000;

/**
 * Replicas that come and go have a key each: those that went are forgotten when the next one comes, so that the last one
 * still tells when its runner was heard of. Should one come back after all, it opens a new session.
 */
const isGone = ({ closed, poll, lastContact }: Session, now: number): boolean =>
  poll === undefined && (closed || now - lastContact > goneAfterMs);

const nameKey = (namespace: string, name: string): string => `${namespace}/${name}`;

/** What the ledger knows of a session that opens. */
export interface OpenedAs {
  readonly session: string;
  readonly limits: Session['limits'];
}

/** All live sessions, by key, and which of them may take what: an index by demand, kept when sessions change, never scanned per task. */
export class Sessions implements RunnerDirectory {
  readonly #options: SessionsOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #byName = new Map<string, Set<Session>>();
  readonly #clones: CloneGuard;
  readonly #qualified = new Map<string, { demand: Demand; sessions: Set<Session> }>();
  readonly #listeners = new Set<(namespace: string, name: string) => void>();

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#clones = new CloneGuard(options.now);
    options.runners.onChange((key) => this.#refresh(key.namespace, key.name));
  }

  open(runner: AuthenticatedRunner, hello: SessionHello, as: OpenedAs): Session {
    const now = this.#options.now();
    const capability = this.#capability({ runner, hello, limits: as.limits });
    const opened = newSession(runner, hello, { ...as, now, capability });
    this.remove(runner.clientId, superseded(runner.name));
    for (const other of this.#replicas(opened)) if (isGone(other, now)) this.#forget(other);
    this.#sessions.set(runner.clientId, opened);
    this.#replicas(opened).add(opened);
    this.#index(opened);
    this.changed(opened);
    return opened;
  }

  /** @throws OutriderError SessionQuarantined when sessions of this key alternate. */
  guardAgainstClones(runner: AuthenticatedRunner): void {
    try {
      this.#clones.opening(runner);
    } catch (error) {
      const session = this.#sessions.get(runner.clientId);
      if (session) this.changed(session);
      throw error;
    }
  }

  /** @throws OutriderError SessionUnknown or SessionSuperseded when this is not the key's current session. */
  current(runner: AuthenticatedRunner, session: string): Session {
    const found = this.#sessions.get(runner.clientId);
    if (found?.speaker.session === session) return found;
    if (found) throw superseded(runner.name);
    throw new OutriderError({
      code: 'SessionUnknown',
      message: `The operator does not know this session of runner ${runner.name}, most likely because it was restarted.`,
      action: 'Open a new session with the inventory of the journal.',
    });
  }

  remove(clientId: string, why: OutriderError): void {
    const session = this.#sessions.get(clientId);
    if (!session) return;
    this.#drop(session);
    session.poll?.fail(why);
    this.changed(session);
  }

  /** Nobody's session goes on: the ledger was restored, and all have to hand in what they know. */
  removeAll(why: OutriderError): void {
    for (const session of this.all()) this.remove(session.runner.clientId, why);
  }

  /** It is there and takes work: polling or heard of lately, and not on its way out. */
  isPresent({ draining, closed, poll, lastContact }: Session): boolean {
    if (draining || closed) return false;
    return poll !== undefined || this.#options.now() - lastContact <= this.#options.onlineMs;
  }

  bySession(clientId: string): Session | undefined {
    return this.#sessions.get(clientId);
  }

  /** Sessions that qualify for this demand, whether they have a free slot or not. */
  qualified(demand: Demand): ReadonlySet<Session> {
    const known = this.#qualified.get(demand.signature);
    if (known) return known.sessions;
    if (this.#qualified.size > 10_000) this.#qualified.clear();
    const sessions = new Set(
      [...this.#sessions.values()].filter((session) => lacking(session.capability, demand).length === 0),
    );
    this.#qualified.set(demand.signature, { demand, sessions });
    return sessions;
  }

  /** It was given work: the next goes to those who wait for longer, if they are no worse off. */
  toTheEnd(session: Session): void {
    for (const { sessions } of this.#qualified.values()) if (sessions.delete(session)) sessions.add(session);
  }

  all(): readonly Session[] {
    return [...this.#sessions.values()];
  }

  changed(session: Session): void {
    for (const listener of this.#listeners) listener(session.runner.namespace, session.runner.name);
  }

  onChange(listener: (namespace: string, name: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  list(): readonly LiveRunner[] {
    return this.all().map((session) => this.#live(session));
  }

  get(namespace: string, name: string): readonly LiveRunner[] {
    return [...(this.#byName.get(nameKey(namespace, name)) ?? [])].map((session) => this.#live(session));
  }

  /** For as long as what another replica said of it can be believed. */
  #isPolledElsewhere({ pollElsewhere, lastContact }: Session): boolean {
    return pollElsewhere && this.#options.now() - lastContact <= this.#options.onlineMs;
  }

  #replicas({ runner }: Session): Set<Session> {
    const key = nameKey(runner.namespace, runner.name);
    const known = this.#byName.get(key) ?? new Set();
    this.#byName.set(key, known);
    return known;
  }

  #drop(session: Session): void {
    const { clientId, namespace, name } = session.runner;
    const replicas = this.#replicas(session);
    this.#sessions.delete(clientId);
    replicas.delete(session);
    if (replicas.size === 0) this.#byName.delete(nameKey(namespace, name));
    for (const entry of this.#qualified.values()) entry.sessions.delete(session);
  }

  #forget(session: Session): void {
    this.#drop(session);
    this.#clones.forget(session.runner.clientId);
  }

  #live(session: Session): LiveRunner {
    const cloned = this.#clones.complaint(session.runner.clientId);
    return {
      clientId: session.runner.clientId,
      namespace: session.runner.namespace,
      name: session.runner.name,
      session: session.speaker.session,
      lastContact: session.lastContact,
      connected: session.poll !== undefined || this.#isPolledElsewhere(session),
      closed: session.closed,
      load: session.load,
      capacity: session.capacity,
      version: session.hello.version,
      startedAt: session.hello.startedAt,
      tags: [...session.capability.tags],
      requestedTags: session.hello.tags ?? null,
      degraded: [...(cloned === undefined ? [] : [cloned]), ...degradedReasons(session)],
    };
  }

  #refresh(namespace: string, name: string): void {
    for (const session of this.#byName.get(nameKey(namespace, name)) ?? []) {
      session.capability = this.#capability(session);
      this.#index(session);
      session.poll?.wake();
    }
  }

  #index(session: Session): void {
    for (const { demand, sessions } of this.#qualified.values()) {
      if (lacking(session.capability, demand).length === 0) sessions.add(session);
      else sessions.delete(session);
    }
  }

  #capability({ runner, hello, limits }: Pick<Session, 'runner' | 'hello' | 'limits'>): Capability {
    const resource = this.#options.runners.get(runner.namespace, runner.name);
    const spec = resource ? resource.spec : noSpec;
    const tags = spec.tags ?? [];
    const permitted = runner.local ? [localTag, ...tags] : tags;
    return {
      namespace: runner.namespace,
      local: runner.local,
      tags: new Set(effectiveTags(permitted, ...limits, hello.tags)),
      nodes: new Set(effectiveNodes(spec, hello.nodes)),
      machineNodes: new Set(hello.nodes),
      suspended: spec.suspend ?? false,
      concurrency: spec.limits?.concurrency ?? Number.POSITIVE_INFINITY,
    };
  }
}

/** A key whose Runner resource is gone may do nothing. */
const noSpec: RunnerSpec = { allow: { nodes: [] }, suspend: true };

/** Thrown for what comes from a session that is not its key's current one any more. */
export const superseded = (name: string): OutriderError =>
  new OutriderError({
    code: 'SessionSuperseded',
    message: `Another process opened a newer session with the key of runner ${name}.`,
    action:
      'Make sure that only one process uses this state folder; a replica needs a registration of its own.',
  });
