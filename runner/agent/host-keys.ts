import { OutriderError } from '@outrider/protocol';
import type { LearnHostKey } from '../execution/contract.ts';
import type { RunnerApi } from './api.ts';
import type { Attempt } from './attempts.ts';
import { asOutriderError, type Persist } from './persist.ts';

/** Less than an SSH server is given for its login, which waits for the answer. */
const patienceMs = 15_000;

export interface HostKeyOptions {
  readonly api: Pick<RunnerApi, 'hostKeys'>;
  readonly persist: Persist;
}

const unanswered = (host: string, port: number, cause: OutriderError | undefined): OutriderError =>
  new OutriderError(
    {
      code: 'HostKeyUnknown',
      message: `The host key of ${host}:${port} is unknown, and the operator did not say within ${patienceMs / 1000} s whether another runner has met that host. Nothing was sent to it.`,
      action: 'Start the run again once this runner reaches the operator, or pin the host key on the target.',
    },
    cause === undefined ? {} : { cause },
  );

/** For an attempt under `hostKeyPolicy: AcceptNew`: all runners see the key that the first of them was shown. */
export const createHostKeys =
  ({ api, persist }: HostKeyOptions): ((attempt: Attempt) => LearnHostKey) =>
  (attempt) =>
  async ({ host, port, key }) => {
    const deadline = AbortSignal.any([attempt.stop.signal, AbortSignal.timeout(patienceMs)]);
    let last: OutriderError | undefined;
    const answer = await persist(
      async ({ session, generation }) => {
        try {
          return await api.hostKeys({ session, generation, ...attempt.ref, host, port, key }, deadline);
        } catch (error) {
          last = asOutriderError(error);
          throw last;
        }
      },
      () => !deadline.aborted,
    );
    if (answer === undefined) throw unanswered(host, port, last);
    return answer.key;
  };
