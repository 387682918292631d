import type { Arguments } from './arguments.ts';
import type { Context, Sink } from './context.ts';
import type { OutputFormat } from './command.ts';
import { configError } from './errors.ts';
import type { KubeClient } from './kube/client.ts';
import type { Selection } from './kube/kubeconfig.ts';
import type { Portal } from './portal/client.ts';
import { Remembered } from './remembered.ts';
import { version } from './version.ts';

/** What the program gets from the operating system. */
export interface Host {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly program: string;
  readonly out: Sink;
  readonly err: Sink;
  readonly stdinIsTTY: boolean;
  readonly interrupted: AbortSignal;
  readonly now: () => number;
}

export interface LiveContext extends Context {
  /** Ends every connection. */
  close(): Promise<void>;
}

const userAgent = `outrider/${version}`;

const namespaceName = (name: string): string => {
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) return name;
  throw configError(`"${name}" is no name of a namespace.`, 'Correct --namespace or --outrider-namespace.');
};

const selectionOf = async (host: Host, args: Arguments): Promise<Selection> => {
  const { loadKubeconfig, selectContext } = await import('./kube/kubeconfig.ts');
  const { inCluster } = await import('./kube/in-cluster.ts');
  const flag = args.text('kubeconfig');
  const config = await loadKubeconfig(flag, host.env);
  const pod = flag === undefined && config.contexts.size === 0 ? inCluster(host.env) : undefined;
  return pod ?? selectContext(config, args.text('context'));
};

const kubeOf = async (host: Host, selection: Selection): Promise<KubeClient> => {
  const { createKubeClient } = await import('./kube/client.ts');
  const { env, stdinIsTTY, err, now } = host;
  return createKubeClient({
    selection,
    env,
    isTTY: stdinIsTTY,
    warn: (text) => err.write(`${err.style.yellow('Warning:')} ${text}\n`),
    now,
    userAgent,
  });
};

interface PortalNeeds {
  readonly kube: () => Promise<KubeClient>;
  readonly namespace: () => Promise<string>;
  readonly operatorNamespace: () => Promise<string>;
}

const portalOf = async (host: Host, args: Arguments, needs: PortalNeeds): Promise<Portal> => {
  const { locatePortal } = await import('./portal/locate.ts');
  const { createPortal } = await import('./portal/client.ts');
  const { cacheFolder, createTokenCache } = await import('./portal/token-cache.ts');
  const { env, now } = host;
  const operatorNamespace = await needs.operatorNamespace();
  const location = await locatePortal({
    url: args.text('portal') ?? (env['OUTRIDER_PORTAL_URL'] || undefined),
    caFile: args.text('portal-ca-file') ?? (env['OUTRIDER_CA_FILE'] || undefined),
    operatorNamespace,
    kube: needs.kube,
  });
  const kube = await needs.kube();
  return createPortal({
    location,
    kube,
    cache: createTokenCache(cacheFolder(env), [kube.identity, location.url, operatorNamespace]),
    operatorNamespace,
    namespace: await needs.namespace(),
    env,
    userAgent,
    now,
  });
};

/** The context of one call: connections are made when the verb asks for them. */
export const connect = (host: Host, args: Arguments, format: OutputFormat | undefined): LiveContext => {
  const selection = new Remembered(() => selectionOf(host, args));
  const kube = new Remembered(async () => kubeOf(host, await selection.get()));
  const namespace = async (): Promise<string> =>
    namespaceName(args.text('namespace') ?? (await selection.get()).namespace ?? 'default');
  const operatorNamespace = async (): Promise<string> => {
    const { defaultNamespace } = await import('@outrider/portal');
    return namespaceName(args.text('outrider-namespace') ?? defaultNamespace);
  };
  const portal = new Remembered(() =>
    portalOf(host, args, { kube: () => kube.get(), namespace, operatorNamespace }),
  );
  return {
    program: host.program,
    out: host.out,
    err: host.err,
    format,
    note: async (text) => {
      if (!args.flag('quiet')) await host.err.write(`${text}\n`);
    },
    namespace,
    operatorNamespace,
    kube: () => kube.get(),
    portal: () => portal.get(),
    interrupted: host.interrupted,
    now: host.now,
    close: async () => {
      for (const each of [portal.peek(), kube.peek()]) await (await each?.catch(() => undefined))?.close();
    },
  };
};
