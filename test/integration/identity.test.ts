import { expect, test } from 'vitest';
import { createAccessReview } from '@outrider/operator/identity/access-review';
import { TestKey } from '@outrider/operator/identity/fixture';
import { keyBundleName, loadKeyMaterial } from '@outrider/operator/identity/key-material';
import { createPortalIdentity } from '@outrider/operator/identity/portal';
import { createSecretKeyStore } from '@outrider/operator/identity/secret-key-store';
import { useNamespace } from './cluster.ts';
import { kubeClient } from './kube-fixture.ts';

const cluster = useNamespace('identity');
const { namespace } = cluster;
const kube = kubeClient(cluster.controlPlane);
const now = (): number => Date.now();

test('replicas that start together keep one set of keys, in one Secret', async () => {
  const store = createSecretKeyStore(kube, namespace);
  const all = await Promise.all([1, 2, 3].map(() => loadKeyMaterial(store, now())));
  expect(new Set(all.map((keys) => keys.ca.key)).size).toBe(1);
  expect(await store.load(keyBundleName)).toMatchObject({ 'ca.crt': all[0]?.ca.cert });
});

test('the review of access says what kubectl would', async () => {
  const review = createAccessReview({ kube, now });
  const ann = { username: 'ann', groups: ['system:authenticated'] };
  const reading = { verb: 'get', resource: 'workflowruns', subresource: 'log', namespace };
  expect(await review.allowed({ username: 'root', groups: ['system:masters'] }, reading)).toBe(true);
  expect(await review.allowed(ann, reading)).toBe(false);
  const role = ['create', 'role', 'logs', '--verb=get', '--resource=workflowruns.outrider.dev/log'];
  await cluster.mustKubectl(role);
  await cluster.mustKubectl(['create', 'rolebinding', 'logs', '--role=logs', '--user=ann']);
  await expect
    .poll(() => createAccessReview({ kube, now }).allowed(ann, reading), { timeout: 10_000 })
    .toBe(true);
  expect(await createAccessReview({ kube, now }).allowed(ann, { ...reading, verb: 'delete' })).toBe(false);
});

test('a Login created with kubectl gives its key a token for its user', async () => {
  const keys = await loadKeyMaterial(createSecretKeyStore(kube, namespace), now());
  const identity = createPortalIdentity({ accessKey: keys.access, issuer: 'https://portal', kube, now });
  const key = (await TestKey.make(now)).useNonce(identity.nonce());
  const who = JSON.parse(await cluster.mustKubectl(['auth', 'whoami', '-o', 'json']));
  const { username, groups } = who.status.userInfo;
  const login = {
    apiVersion: 'outrider.dev/v1alpha1',
    kind: 'Login',
    metadata: { name: 'ann', namespace },
    spec: { username, groups, publicKey: key.x },
  };
  const created = await cluster.kubectl(['create', '-f', '-'], { input: JSON.stringify(login) });
  expect(created).toMatchObject({ code: 0 });
  const url = 'https://127.0.0.1/api/v1/token';
  const form = { ...(await key.form(url)), login_namespace: namespace, login_name: 'ann' };
  const { token } = await identity.issueToken(form, await key.proof(url));
  const proof = await key.proof(url, token.access_token);
  expect(await identity.authenticate(proof)).toEqual({ username, groups });
});
