import { paths } from '@outrider/protocol';
import type { ErrorWords } from '../http/errors.ts';

/** What the runner API says of requests that it refuses. */
export const errorWords: Omit<ErrorWords, 'logger'> = {
  tokenPath: paths.token,
  api: 'runner API',
  badRequest: 'Check that runner and operator have the same version; upgrade the older one.',
  notFound: 'Check OUTRIDER_PORTAL_URL: a runner needs the URL of the runner API, without a path.',
};
