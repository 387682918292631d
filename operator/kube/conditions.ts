import { kubeTime } from './instants.ts';

/** metav1.Condition, as the kinds have it. */
export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime: string;
  readonly observedGeneration?: number;
}

/** What a decision says of one type; the rest follows from what was there before. */
export type Verdict = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

/** Longest message that the kinds accept. */
const longestMessage = 32_768;

/**
 * The conditions for these verdicts, in their order: lastTransitionTime stays where the status is unchanged. Types that
 * have no verdict go, so every owner of a status decides all of its conditions.
 */
export const conditionsFrom = (
  verdicts: readonly Verdict[],
  before: readonly Condition[] | undefined,
  at: { readonly now: number; readonly generation: number | undefined },
): Condition[] =>
  verdicts.map(({ type, status, reason, message }) => {
    const known = before?.find((condition) => condition.type === type);
    const lastTransitionTime = known?.status === status ? known.lastTransitionTime : kubeTime(at.now);
    return {
      type,
      status,
      reason,
      message: message.slice(0, longestMessage),
      lastTransitionTime,
      ...(at.generation === undefined ? {} : { observedGeneration: at.generation }),
    };
  });

export const findCondition = (
  conditions: readonly Condition[] | undefined,
  type: string,
): Condition | undefined => conditions?.find((condition) => condition.type === type);

/** `a`, `a and b`, `a, b and 3 more`: names in a message stay few. */
export const nameList = (names: readonly string[], most = 5): string => {
  const shown = names.slice(0, most);
  const more = names.length - shown.length;
  const parts = more > 0 ? [...shown, `${more} more`] : shown;
  const last = parts.at(-1) ?? '';
  return parts.length < 2 ? last : `${parts.slice(0, -1).join(', ')} and ${last}`;
};
