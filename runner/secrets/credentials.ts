import { OutriderError, type AttemptRef, type CredentialsRequest } from '@outrider/protocol';
import type { RunnerApi } from '../agent/api.ts';
import type { ProxySettings } from '../agent/exchange.ts';
import type { RunnerKey } from '../agent/key.ts';
import { asOutriderError, type Persist } from '../agent/persist.ts';
import type { Session } from '../agent/session.ts';
import { readVault } from './vault.ts';

/** Fields of a credential, by name. They live in memory alone: never logged, never journalled. */
export type Credential = Readonly<Record<string, string>>;

export interface CredentialSource {
  /** For an accepted attempt; ends on `signal`. @throws OutriderError with a code of credentials */
  fetch(ref: AttemptRef, reference: string, signal: AbortSignal): Promise<Credential>;
}

export interface CredentialSourceOptions {
  readonly api: Pick<RunnerApi, 'credentials'>;
  readonly key: Pick<RunnerKey, 'sign'>;
  readonly persist: Persist;
  readonly proxy?: ProxySettings;
  /** How long an unreachable operator or store is asked again. @default 60_000 */
  readonly patienceMs?: number;
}

const nothing = (reference: string): OutriderError =>
  new OutriderError({
    code: 'CredentialInvalid',
    message: `The operator answered neither a Vault grant nor an envelope for ${reference}.`,
    action: 'Upgrade this runner to the version of the operator.',
  });

/** Asks for credentials with a request that the runner's key signs, so that nobody in between can put in a key of its own. */
export const createCredentialSource = (options: CredentialSourceOptions): CredentialSource => {
  const { api, key, persist, patienceMs = 60_000 } = options;

  const ask = async (session: Session, ref: AttemptRef, what: { reference: string; signal: AbortSignal }) => {
    // Loaded with the first credential: a runner at rest does without.
    const { createEnvelopeKey } = await import('./envelope.ts');
    const envelope = await createEnvelopeKey();
    const request: CredentialsRequest = {
      session: session.session,
      generation: session.generation,
      task: ref.task,
      epoch: ref.epoch,
      reference: what.reference,
      envelopeKey: envelope.publicKey,
    };
    const answer = await api.credentials(await key.sign(request), what.signal);
    return { answer, envelope, request };
  };

  return {
    fetch: async (ref, reference, signal) => {
      const deadline = performance.now() + patienceMs;
      let last: OutriderError | undefined;
      const asked = await persist(
        async (session) => {
          try {
            return await ask(session, ref, { reference, signal });
          } catch (error) {
            last = asOutriderError(error);
            throw last;
          }
        },
        () => !signal.aborted && performance.now() < deadline,
      );
      signal.throwIfAborted();
      if (asked === undefined) throw last ?? nothing(reference);
      const { answer, envelope, request } = asked;
      if (answer.envelope !== undefined) return envelope.open(answer.envelope, request);
      if (answer.vault === undefined) throw nothing(reference);
      return readVault(answer.vault, {
        signal,
        ...(options.proxy === undefined ? {} : { proxy: options.proxy }),
      });
    },
  };
};
