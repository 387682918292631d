import { OutriderError } from '@outrider/protocol';
import { reservedTag, tagReserved } from './registration-tokens.ts';

/** Tags that both the token and the Runner resource permit; null where neither says anything. */
export const permittedTags = (
  token: readonly string[] | null,
  spec: readonly string[] | undefined,
): readonly string[] | null => {
  if (token === null) return spec ?? null;
  return spec ? token.filter((tag) => spec.includes(tag)) : token;
};

/**
 * Tags in effect: what the runner asks for, or all that it may have when it asks for none.
 * @throws OutriderError TagNotPermitted naming the first tag beyond what is permitted, and what is.
 */
export const requestedTags = (request: {
  name: string;
  wanted: readonly string[] | null;
  permitted: readonly string[] | null;
  local: boolean;
}): readonly string[] => {
  const { name, wanted, permitted, local } = request;
  if (!local && wanted?.includes(reservedTag)) throw tagReserved(`Runner ${name}`);
  if (wanted === null || permitted === null) return wanted ?? permitted ?? [];
  const refused = wanted.find((tag) => !permitted.includes(tag));
  if (refused === undefined) return wanted;
  throw new OutriderError({
    code: 'TagNotPermitted',
    message: `Runner ${name} asks for the tag ${refused}, which it is not permitted to have. Permitted: ${permitted.join(', ') || 'none'}.`,
    action: `Take ${refused} out of the runner's own tags (OUTRIDER_RUNNER_TAGS, --tags), add it to spec.tags of the Runner, or make a registration token that permits it.`,
    details: { tag: refused, permitted },
  });
};
