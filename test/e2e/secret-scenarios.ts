import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Step, StepTarget } from '@outrider/kinds';
import { startOpenBao, type OpenBao } from '../servers/openbao.ts';
import { systemNamespace } from '../servers/outrider.ts';
import type { Sshd } from '../servers/sshd.ts';
import type { Stack } from './stack.ts';

/** Characters that URLs, JSON, XML and shells write differently, and a random part that nothing else contains. */
export const newSecret = (): string => `ü"<&/+ '${randomBytes(15).toString('base64')}\\%`;

/** A Secret that workflows may name. */
export const allowedSecret = (name: string, stringData: Readonly<Record<string, string>>): object => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, labels: { 'outrider.dev/allow': 'true' } },
  stringData,
});

export const inlineTarget = ({ host, port, user, hostKeyFingerprint: hostKey }: Sshd): StepTarget => ({
  host,
  port,
  user,
  hostKey,
});

/** Shell lines that print the file in every way that people come upon, by single bytes too if it is short. */
const printing = (file: string): string => `
cat ${file}; echo
base64 ${file}
base64 -w0 ${file}; echo
{ printf x; cat ${file}; } | base64 -w0; echo
{ printf xy; cat ${file}; } | base64 -w0; echo
od -An -v -tx1 ${file} | tr -d ' \\n'; echo
od -An -v -tx1 ${file} | tr -d ' \\n' | tr a-f A-F; echo
cat ${file}.url; echo
cat ${file}.json; echo
head -c 7 ${file}; sleep 0.3; tail -c +8 ${file}; echo
[ $(wc -c <${file}) -gt 200 ] || fold -b -w1 ${file} |
while IFS= read -r byte || [ "$byte" ]; do printf %s "$byte"; sleep 0.02; done; echo
cat ${file} >&2
`;

/** Writes what a script is to print next to the target, and returns the script. */
export const printingScript = (folder: string, values: Readonly<Record<string, string>>): string => {
  const files = Object.entries(values).map(([name, value]) => {
    const file = join(folder, name);
    writeFileSync(file, value);
    writeFileSync(`${file}.url`, encodeURIComponent(value));
    writeFileSync(`${file}.json`, JSON.stringify(value));
    return file;
  });
  return `echo begin\n${files.map(printing).join('')}echo end\n`;
};

/** An OpenBao that trusts the operator's tokens for this namespace, and three stores that lead to it. */
export interface Vault {
  readonly bao: OpenBao;
  readonly secretId: string;
}

const dataOf = (answer: unknown, field: string): string => {
  const { data } = answer as { readonly data: Readonly<Record<string, string>> };
  return data[field] ?? '';
};

const store = (name: string, spec: object): object => ({
  apiVersion: 'outrider.dev/v1alpha1',
  kind: 'CredentialStore',
  metadata: { name },
  spec,
});

export const startVault = async (stack: Stack): Promise<Vault> => {
  const bao = await startOpenBao({ footprint: stack.footprint });
  const configMap = await stack.controlPlane.mustKubectl([
    '-n',
    systemNamespace,
    'get',
    'configmap',
    'outrider-portal',
    '-o',
    'json',
  ]);
  const { data } = JSON.parse(configMap) as { readonly data: Readonly<Record<string, string>> };
  await bao.enableJwt('jwt', [data['jwt.pub'] ?? ''], data['issuer']);
  await bao.writePolicy('ops', 'path "secret/data/ops/*" { capabilities = ["read"] }');
  await bao.writeJwtRole('jwt', {
    name: 'ops',
    audience: bao.url,
    policies: ['ops'],
    boundClaims: { namespace: stack.namespace },
  });
  await bao.api('POST', 'sys/auth/approle', { type: 'approle' });
  await bao.api('POST', 'auth/approle/role/operator', { token_policies: ['ops'], token_ttl: 60 });
  const roleId = dataOf(await bao.api('GET', 'auth/approle/role/operator/role-id'), 'role_id');
  const secretId = dataOf(await bao.api('POST', 'auth/approle/role/operator/secret-id', {}), 'secret_id');
  const at = { address: bao.url, caBundle: bao.caPem, pathPrefix: 'ops' };
  await stack.apply(
    allowedSecret('approle', { secretId }),
    store('vault', { vault: { ...at, jwt: { role: 'ops' } } }),
    store('vault-operator', { access: 'Operator', vault: { ...at, jwt: { role: 'ops' } } }),
    store('vault-approle', {
      access: 'Operator',
      vault: { ...at, appRole: { roleId, secretRef: { name: 'approle' } } },
    }),
  );
  return { bao, secretId };
};

/** A kubeconfig with a token that may read the Secret in which it stands; `secret:kube` from then on. */
export const storeKubeconfig = async (stack: Stack): Promise<string> => {
  const { namespace, controlPlane } = stack;
  await stack.kubectl('create', 'serviceaccount', 'reader');
  await stack.kubectl('create', 'role', 'reader', '--verb=get', '--resource=secrets');
  await stack.kubectl(
    'create',
    'rolebinding',
    'reader',
    '--role=reader',
    `--serviceaccount=${namespace}:reader`,
  );
  const path = await controlPlane.serviceAccountKubeconfig({ namespace, name: 'reader' });
  const text = readFileSync(path, 'utf8');
  const config = parse(text) as { readonly users: readonly { user: { token: string } }[] };
  // In one line, as programs write it.
  await stack.apply(allowedSecret('kube', { kubeconfig: JSON.stringify(config) }));
  return config.users[0]?.user.token ?? '';
};

/** kubectl calls and a shell script that print the token of their own kubeconfig. */
export const kubectlSteps = (namespace: string): Step[] => {
  const common = { node: 'kubectl-exec', target: { namespace }, credential: 'secret:kube' };
  return [
    {
      ...common,
      name: 'command',
      command: `kubectl get secret kube -o yaml
kubectl get secret kube -o 'go-template={{.data.kubeconfig|base64decode}}'`,
    },
    {
      ...common,
      name: 'script',
      script: `echo begin
cat "$KUBECONFIG"
base64 "$KUBECONFIG"
base64 -w0 "$KUBECONFIG"; echo
od -An -v -tx1 "$KUBECONFIG" | tr -d ' \\n'; echo
kubectl config view --raw -o json
sleep 0.5
echo end
`,
    },
  ];
};
