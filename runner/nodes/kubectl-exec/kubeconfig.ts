import { OutriderError } from '@outrider/protocol';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { stringify } from 'yaml';
import type { TaskContext } from '../contract.ts';
import { IN_CLUSTER, inClusterKubeconfig } from './in-cluster.ts';
import { pinContext, readKubeconfig } from './kubeconfig-file.ts';

export interface PinnedKubeconfig {
  /** YAML with one context, pinned to one namespace. */
  readonly text: string;
  /** Where it points, for a note; never a secret. */
  readonly described: string;
}

/**
 * The kubeconfig of an attempt, from the first of these that applies: the credential's field `kubeconfig`; the runner's own
 * kubeconfig, if its configuration lists the context; the pod's ServiceAccount, if no context is asked for. Throws
 * ContextNotFound or CredentialInvalid with what to do.
 */
export async function pinnedKubeconfig(context: TaskContext): Promise<PinnedKubeconfig> {
  const { credential, connection, machine } = context;
  if (credential !== undefined) return fromCredential(context, credential);
  if (connection.context === undefined) {
    const own = await inClusterKubeconfig(connection.namespace);
    if (own === undefined) throw nothingToUse(context);
    return { text: stringify(own), described: `the cluster of this runner's ServiceAccount` };
  }
  const { kubeconfig, kubeContexts } = machine;
  if (kubeconfig === undefined || !kubeContexts.includes(connection.context)) throw notListed(context);
  return fromMachine(kubeconfig, connection.context, connection.namespace);
}

function fromCredential(
  { spec, connection, machine }: TaskContext,
  credential: Readonly<Record<string, string>>,
): PinnedKubeconfig {
  const where = `the credential ${spec.credential ?? ''}`.trim();
  const text = credential['kubeconfig'];
  if (text === undefined) {
    throw new OutriderError({
      code: 'CredentialInvalid',
      message: `${capital(where)} has no field kubeconfig; its fields are: ${Object.keys(credential).join(', ') || 'none'}.`,
      action: 'Store a kubeconfig in the field kubeconfig.',
    });
  }
  const config = readKubeconfig(text, where);
  const pinned = pinContext(config, {
    ...connection,
    where,
    // Whoever may write a credential may not thereby run programs on the runner, or read its files.
    trusted: machine.localExec,
  });
  return { text: stringify(pinned.kubeconfig), described: `context ${pinned.context} of ${where}` };
}

async function fromMachine(
  file: string,
  context: string,
  namespace: string | undefined,
): Promise<PinnedKubeconfig> {
  const where = `${file} on the runner`;
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    throw new OutriderError({
      code: 'ContextNotFound',
      message: `The runner's own kubeconfig cannot be read: ${why}.`,
      action: "Correct kubeconfig in the runner's configuration, or give the step a credential.",
    });
  });
  const pinned = pinContext(readKubeconfig(text, where), {
    context,
    namespace,
    where,
    trusted: true,
    folder: dirname(file),
  });
  return {
    text: stringify(pinned.kubeconfig),
    described: `context ${pinned.context} of the runner's kubeconfig`,
  };
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

const nothingToUse = ({ spec }: TaskContext): OutriderError =>
  new OutriderError({
    code: 'ContextNotFound',
    message: `Step ${spec.step} names neither a context nor a credential, and this runner has no ServiceAccount (${IN_CLUSTER} does not exist).`,
    action:
      'Set credential on the step or its Target, set target.context, or use a runner inside the cluster.',
  });

function notListed({ connection, machine }: TaskContext): OutriderError {
  const listed = machine.kubeContexts.join(', ') || 'none';
  return new OutriderError({
    code: 'ContextNotFound',
    message: `Context ${connection.context ?? ''} is not known here: the step has no credential, no Target of that name has one, and this runner permits these contexts of its own kubeconfig: ${listed}.`,
    action: `Create a Target named ${connection.context ?? ''} with a credential, set credential on the step, or list the context under kubeContexts in the runner's configuration.`,
  });
}
