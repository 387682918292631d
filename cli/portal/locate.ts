import { readFile } from 'node:fs/promises';
import { portalConfigMap } from '@outrider/portal';
import { CliError, configError } from '../errors.ts';
import type { KubeClient } from '../kube/client.ts';

/** Where the portal is, and whose certificate it bears. */
export interface PortalLocation {
  readonly url: string;
  /** PEM; the system's CAs when absent. */
  readonly ca?: string;
}

export interface LocateOptions {
  /** --portal or OUTRIDER_PORTAL_URL. */
  readonly url: string | undefined;
  /** --portal-ca-file or OUTRIDER_CA_FILE. */
  readonly caFile: string | undefined;
  /** Where the ConfigMap stands. */
  readonly operatorNamespace: string;
  readonly kube: () => Promise<Pick<KubeClient, 'request'>>;
}

const readCa = async (path: string): Promise<string> => {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw configError(
      `The CA file ${path} cannot be read: ${why}.`,
      'Correct --portal-ca-file or OUTRIDER_CA_FILE.',
      error,
    );
  }
};

const checkedUrl = (url: string, origin: string): string => {
  if (URL.canParse(url) && new URL(url).protocol === 'https:') return url.replace(/\/+$/, '');
  throw configError(
    `The portal's address "${url}" (${origin}) is no https URL.`,
    'Write it like https://outrider.example.com:8444.',
  );
};

const fromCluster = async ({ kube, operatorNamespace }: LocateOptions): Promise<PortalLocation> => {
  const where = `ConfigMap ${operatorNamespace}/${portalConfigMap}`;
  const client = await kube();
  let data: Readonly<Record<string, string>>;
  try {
    const found = await client.request<{ readonly data?: Readonly<Record<string, string>> }>({
      method: 'GET',
      path: `/api/v1/namespaces/${encodeURIComponent(operatorNamespace)}/configmaps/${portalConfigMap}`,
    });
    data = found.data ?? {};
  } catch (error) {
    if (!(error instanceof CliError) || !['NotFound', 'Forbidden'].includes(error.code)) throw error;
    throw new CliError(
      {
        code: 'PortalNotFound',
        message: `The portal's address could not be read from the ${where}: ${error.message}`,
        action:
          'Check that Outrider is installed there (--outrider-namespace), or give the address with --portal and --portal-ca-file.',
      },
      { cause: error },
    );
  }
  const ca = data['ca.crt'];
  return { url: checkedUrl(data['url'] ?? '', where), ...(ca === undefined ? {} : { ca }) };
};

/** @throws CliError ConfigInvalid, PortalNotFound */
export const locatePortal = async (options: LocateOptions): Promise<PortalLocation> => {
  const given = options.caFile === undefined ? {} : { ca: await readCa(options.caFile) };
  if (options.url !== undefined)
    return { url: checkedUrl(options.url, '--portal or OUTRIDER_PORTAL_URL'), ...given };
  return { ...(await fromCluster(options)), ...given };
};
