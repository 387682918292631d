import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import type { ControlPlane } from '../servers/control-plane.ts';
import type { OpenBao } from '../servers/openbao.ts';
import { repositoryRoot } from '../servers/paths.ts';
import type { Sshd } from '../servers/sshd.ts';

const examples = join(repositoryRoot, 'examples');

/** examples/ as it is; then the one thing that only this machine knows, the CA of its Vault. */
export const applyExamples = async (controlPlane: ControlPlane, bao: OpenBao): Promise<void> => {
  await controlPlane.mustKubectl(['apply', '-f', examples]);
  await trustVault(controlPlane, { caBundle: bao.caPem });
};

const trustVault = async (
  controlPlane: ControlPlane,
  vault: Readonly<Record<string, string>>,
): Promise<void> => {
  const patch = JSON.stringify({ spec: { vault } });
  await controlPlane.mustKubectl([
    '-n',
    'operations',
    'patch',
    'credentialstore',
    'vault',
    '--type=merge',
    '-p',
    patch,
  ]);
};

interface Document {
  kind: string;
  metadata: { name: string };
  spec?: { steps?: { node: string; target?: { host?: string; port?: number } }[] };
}

const documents = (): Document[] =>
  readdirSync(examples)
    .sort()
    .flatMap((file) =>
      parseAllDocuments(readFileSync(join(examples, file), 'utf8')).map((each) => each.toJS() as Document),
    );

/** Without a cluster node: the same workflow, its SSH step alone, against the user's own sshd. */
export const applySshStep = async (controlPlane: ControlPlane, bao: OpenBao, sshd: Sshd): Promise<void> => {
  const wanted = documents().filter(
    ({ kind, metadata }) => kind !== 'Workflow' || metadata.name === 'restart-payment-service',
  );
  for (const { spec } of wanted) {
    if (!spec?.steps) continue;
    spec.steps = spec.steps.filter((step) => step.node === 'ssh-exec');
    for (const step of spec.steps) Object.assign(step.target ?? {}, { host: sshd.host, port: sshd.port });
  }
  await controlPlane.mustKubectl(['apply', '-f', '-'], {
    input: wanted.map((each) => stringify(each)).join('---\n'),
  });
  await trustVault(controlPlane, { caBundle: bao.caPem, address: bao.url });
};
