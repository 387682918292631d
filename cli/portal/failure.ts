import { CliError } from '../errors.ts';
import { jsonObject } from '../http.ts';

const transientStatus = new Set([408, 425, 429, 500, 502, 503, 504]);

/** The failure that an answer of the portal stands for: a Problem, or what a proxy in between has said. */
export const portalFailure = (status: number, text: string): CliError => {
  const { code, message, action } = jsonObject(text);
  const known = typeof code === 'string' && typeof message === 'string';
  return new CliError(
    {
      code: known ? code : `Http${status}`,
      message: known ? message : `The portal answered with HTTP status ${status}: ${text.slice(0, 300)}`,
      action:
        typeof action === 'string' ? action : 'Check that the address is that of the portal (--portal).',
    },
    { transient: transientStatus.has(status) },
  );
};

/** Codes of a `problem` event after which the same stream may be had again. */
const transientCodes = new Set(['Unavailable', 'Internal', 'TooManyRequests']);

/** The failure that a `problem` event of a log stream stands for. */
export const streamFailure = (data: string): CliError => {
  const { code, message, action } = jsonObject(data);
  const word = typeof code === 'string' ? code : 'Internal';
  return new CliError(
    {
      code: word,
      message: typeof message === 'string' ? message : data.slice(0, 300),
      action: typeof action === 'string' ? action : '',
    },
    { transient: transientCodes.has(word) },
  );
};
