import { OutriderError } from '@outrider/protocol';
import { describe, expect, test } from 'vitest';
import { checkCommand, type Limits } from './flags.ts';
import { splitCommands } from './split.ts';

function verdict(text: string, limits: Partial<Limits> = {}): string {
  try {
    for (const line of splitCommands(text)) {
      checkCommand(line, { namespace: undefined, localFiles: false, ...limits });
    }
    return 'accepted';
  } catch (error) {
    return error instanceof OutriderError ? error.code : String(error);
  }
}

describe('accepted', () => {
  test.each([
    'kubectl rollout restart deployment/payment-service',
    'kubectl -n payments get pods -o name',
    'kubectl --namespace=payments get pods -A',
    'kubectl logs -f --tail=5 deploy/x -c app',
    'kubectl exec -it pod -- mysql --user=root --password=x -s -f file',
    'kubectl exec pod -c app -- curl --token x',
    'kubectl apply -f https://example.com/a.yaml,https://example.com/b.yaml',
    `kubectl patch deploy x -p '{"spec":{"replicas":2}}'`,
    'kubectl get pods -l app=x -o jsonpath={.items}',
    'kubectl debug pod/x --profile=general',
    'kubectl create secret generic x --from-literal=user=a',
    'kubectl get --raw /version',
  ])('%s', (text) => {
    expect(verdict(text)).toBe('accepted');
  });
});

describe('flags that change server, identity or the runner are refused', () => {
  test.each(
    [
      '--kubeconfig',
      '--context',
      '--cluster',
      '--user',
      '--server',
      '--token',
      '--as',
      '--as-group',
      '--as-uid',
      '--certificate-authority',
      '--client-certificate',
      '--client-key',
      '--insecure-skip-tls-verify',
      '--tls-server-name',
      '--username',
      '--password',
      '--proxy-url',
      '--cache-dir',
      '--profile',
      '--profile-output',
      '--kuberc',
      '--as_group',
    ].flatMap((flag) => [
      `kubectl get pods ${flag} x`,
      `kubectl get pods ${flag}=x`,
      `kubectl ${flag}=x get pods`,
    ]),
  )('%s', (text) => {
    expect(verdict(text)).toBe('KubectlFlagRefused');
  });

  test.each([
    'kubectl get pods -s https://evil',
    'kubectl get pods -shttps://evil',
    'kubectl get pods -s=https://evil',
    'kubectl get pods -As https://evil',
    'kubectl logs -fs https://evil x',
    'kubectl logs -ps https://evil x',
    `kubectl get pods '--token' x`,
    'kubectl get pods \\--token x',
    'kubectl exec pod --token x -- id',
  ])('%s', (text) => {
    expect(verdict(text)).toBe('KubectlFlagRefused');
  });

  test.each([
    'kubectl get -l -- --token=x',
    'kubectl get pods --selector -- --server=x',
    'kubectl --token x get pods',
  ])('and are not hidden behind a -- that is a value: %s', (text) => {
    expect(verdict(text)).toBe('CommandInvalid');
  });
});

describe('commands that are none of kubectl, or need a terminal, are refused', () => {
  test.each([
    'config view',
    'proxy',
    'plugin list',
    'port-forward x 80',
    'edit deploy x',
    'krew install x',
    'kuberc view',
    'apply edit-last-applied deploy/x',
    'apply -o yaml edit-last-applied deploy/x',
    'create --edit -f https://example.com/a.yaml',
  ])('kubectl %s', (text) => {
    expect(verdict(`kubectl ${text}`)).toBe('KubectlFlagRefused');
  });
});

describe('files of the runner', () => {
  const calls = [
    'kubectl apply -f ./x.yaml',
    'kubectl apply -Rf dir',
    'kubectl apply --filename=/etc/passwd',
    'kubectl apply -f https://example.com/a.yaml,/etc/passwd',
    'kubectl apply -k https://example.com/repo',
    'kubectl create secret generic x --from-file=/etc/shadow',
    'kubectl create cm x --from-env-file /etc/environment',
    'kubectl patch x --patch-file=/etc/passwd',
    'kubectl get x -o jsonpath-file=/etc/passwd',
    'kubectl get x --output go-template-file=/etc/passwd',
    'kubectl cp pod:/x y',
    'kubectl kustomize .',
  ];

  test.each(calls)('are out of reach: %s', (text) => {
    expect(verdict(text)).toBe('LocalExecNotAllowed');
  });

  test.each(calls)('are within reach where local-exec is permitted: %s', (text) => {
    expect(verdict(text, { localFiles: true })).toBe('accepted');
  });

  test('stdin is none', () => {
    expect(verdict('kubectl apply -f -')).toBe('CommandInvalid');
  });
});

describe('the namespace that the target pins', () => {
  const pinned = (text: string): string => verdict(text, { namespace: 'payments' });

  test.each([
    'kubectl get pods',
    'kubectl get pods -n payments',
    'kubectl -n payments get pods',
    'kubectl get pods -npayments',
  ])('holds for %s', (text) => {
    expect(pinned(text)).toBe('accepted');
  });

  test.each([
    'kubectl get pods -n other',
    'kubectl get pods -nother',
    'kubectl -n other get pods',
    'kubectl get pods --namespace=other',
    'kubectl get pods -A',
    'kubectl get pods --all-namespaces',
    'kubectl get pods -wA',
    'kubectl get --raw /api/v1/namespaces/other/secrets',
    'kubectl delete --raw=/api/v1/namespaces/other',
    'kubectl cluster-info dump --namespaces other',
  ])('is not left by %s', (text) => {
    expect(pinned(text)).toBe('KubectlFlagRefused');
  });
});

test('a refusal names line and flag, and what to do', () => {
  expect(() => {
    for (const line of splitCommands('kubectl version\nkubectl get pods --context=x')) {
      checkCommand(line, { namespace: undefined, localFiles: false });
    }
  }).toThrow(
    'Line 2 of command uses --context, which a step may not set. The cluster, the identity and the files of kubectl are fixed by target and credential.',
  );
});
