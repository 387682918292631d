import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { certificateConfig } from './certificates.ts';
import { cgroupMounts } from './cgroups.ts';
import { firstAddress } from './control-plane-launch.ts';
import { missingPackages } from './debian.ts';
import { flags } from './flags.ts';
import { imageConfig } from './images.ts';
import { renderKubeconfig } from './kubeconfig.ts';
import { renderRules } from './netns.ts';
import { networkNumber } from './node.ts';
import { renderContainerd, renderInit, renderKubelet, type NodePlace } from './node-config.ts';
import { parseAudit, renderConfig } from './openbao.ts';
import { hasAccount, renderSshdConfig, withAccount } from './sshd-config.ts';
import { freeLink, linkAt } from './veth.ts';

const place: NodePlace = {
  folder: '/state/node',
  nodeName: 'outrider-node',
  address: '10.213.0.2',
  podCidr: '10.214.0.0/24',
  cgroup: '/outrider-node-1',
  snapshotter: 'overlayfs',
  pki: { ca: '/pki/ca.crt', cert: '/pki/kubelet.crt', key: '/pki/kubelet.key' },
  kubeletKubeconfig: '/k/kubelet.yaml',
  proxyKubeconfig: '/k/proxy.yaml',
  programs: { kubelet: '/bin/kubelet', kubeProxy: '/bin/kube-proxy' },
};

test('flags join lists and leave out what is undefined', () => {
  expect(flags({ port: 0, on: true, sans: ['a', 'b'], none: undefined })).toEqual([
    '--port=0',
    '--on=true',
    '--sans=a,b',
  ]);
});

test('a certificate names hosts as DNS names or addresses, and groups as organizations', () => {
  const config = certificateConfig({
    name: 'x',
    commonName: 'ann',
    organizations: ['ops', 'night shift'],
    hosts: ['localhost', '10.96.0.1'],
  });
  expect(config).toContain('0.O = ops\n1.O = night shift\nCN = ann\n');
  expect(config).toContain('[hosts]\nDNS.1 = localhost\nIP.2 = 10.96.0.1\n');
});

test('a kubeconfig embeds the authority and has one context', () => {
  const text = renderKubeconfig({
    server: 'https://127.0.0.1:1',
    authority: 'Q0E=',
    user: 'ann',
    credential: { token: 't' },
    namespace: 'payments',
  });
  expect(parse(text)).toEqual({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'outrider',
        cluster: { server: 'https://127.0.0.1:1', 'certificate-authority-data': 'Q0E=' },
      },
    ],
    users: [{ name: 'ann', user: { token: 't' } }],
    contexts: [{ name: 'outrider', context: { cluster: 'outrider', user: 'ann', namespace: 'payments' } }],
    'current-context': 'outrider',
  });
});

test('the service kubernetes has the first address of the services', () => {
  expect(firstAddress('10.96.0.0/16')).toBe('10.96.0.1');
  expect(firstAddress('10.215.7.0/24')).toBe('10.215.7.1');
});

test('a namespace reaches the listed services and refuses the rest at once', () => {
  const rules = renderRules([{ host: '10.213.0.1', port: 8443 }]);
  const lines = rules.split('\n').map((line) => line.trim());
  expect(lines).toContain('ip daddr 10.213.0.1 tcp dport 8443 accept');
  expect(lines.indexOf('meta l4proto tcp reject with tcp reset')).toBe(
    lines.indexOf('ip daddr 10.213.0.1 tcp dport 8443 accept') + 1,
  );
  expect(lines.filter((line) => line.includes('policy')).every((line) => line.endsWith('policy drop;'))).toBe(
    true,
  );
});

test('links take the first network that no address or route mentions', () => {
  expect(linkAt(64)).toEqual({ hostAddress: '10.213.1.1', address: '10.213.1.2' });
  expect(freeLink('inet 192.0.2.2/24')).toEqual({
    hostAddress: '10.213.0.1',
    address: '10.213.0.2',
    index: 0,
  });
  expect(freeLink('10.213.0.0/30 dev x\n10.213.0.6').index).toBe(2);
  expect(freeLink('10.213.0.10 dev x').index).toBe(0);
  expect(() => freeLink('', 1 << 14)).toThrow('every network between 10.213.0.0 and 10.213.255.255 is taken');
});

test('neighbouring nodes have different pod networks', () => {
  expect([networkNumber('10.213.0.1'), networkNumber('10.213.0.5'), networkNumber('10.213.1.1')]).toEqual([
    0, 1, 64,
  ]);
});

test('packages that were removed or never known are missing', () => {
  const answer = 'runc installed\ncontainerd config-files\n';
  expect(missingPackages(['runc', 'containerd', 'nftables'], answer)).toEqual(['containerd', 'nftables']);
});

test('control groups of both versions are found in the list of mounts', () => {
  const mounts = [
    'cgroup /sys/fs/cgroup/pids cgroup rw 0 0',
    'cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0',
    'tmpfs /sys/fs/cgroup tmpfs rw 0 0',
  ].join('\n');
  expect(cgroupMounts(mounts)).toEqual(['/sys/fs/cgroup/pids', '/sys/fs/cgroup/unified']);
});

test('a kubelet asks the API server who may call it', () => {
  expect(parse(renderKubelet(place))).toMatchObject({
    authentication: { anonymous: { enabled: false }, x509: { clientCAFile: '/pki/ca.crt' } },
    authorization: { mode: 'Webhook' },
    address: '10.213.0.2',
    cgroupRoot: '/outrider-node-1',
    containerRuntimeEndpoint: 'unix:///state/node/containerd.sock',
  });
  expect(renderContainerd(place)).toContain('sandbox_image = "outrider.dev/pause:1"');
});

test("a node's first process hides the folders of the machine before it starts anything", () => {
  const lines = renderInit(place).split('\n');
  const first = lines.findIndex((line) => line.startsWith('keep '));
  for (const hidden of ['/run', '/var/lib', '/var/log', '/proc/sys/vm/overcommit_memory']) {
    const mount = lines.findIndex((line) => line.startsWith('mount ') && line.endsWith(` ${hidden}`));
    expect(mount, hidden).toBeGreaterThan(0);
    expect(mount, hidden).toBeLessThan(first);
  }
});

test('an image names its one layer and its command', () => {
  expect(JSON.parse(imageConfig('abc', ['sleep', 'infinity']))).toMatchObject({
    os: 'linux',
    config: { Cmd: ['sleep', 'infinity'] },
    rootfs: { type: 'layers', diff_ids: ['sha256:abc'] },
  });
});

test('the lines of the caller come before the defaults of an sshd_config', () => {
  const config = renderSshdConfig({
    port: 2222,
    address: '127.0.0.1',
    hostKeyFile: '/h',
    authorizedKeysFile: '/a',
    pidFile: '/p',
    passwords: false,
    marker: 'm1',
    home: '/tmp/h',
    maxSessions: 2,
    extra: ['PermitRootLogin no'],
  }).split('\n');
  expect(config[0]).toBe('PermitRootLogin no');
  expect(config).toContain('MaxSessions 2');
  expect(config).toContain('SetEnv TEST_SSHD=m1 HOME=/tmp/h');
  expect(config).toContain('PasswordAuthentication no');
});

test('an account is added, or given a password and unlocked if it exists', () => {
  const files = {
    passwd: 'root:x:0:0:root:/root:/bin/sh\n',
    group: 'root:x:0:\n',
    shadow: 'root:!:1:0:99999:7:::\nbin:*:1::::::\n',
  };
  const account = { name: 'deploy', uid: 7, home: '/home/deploy', shell: '/bin/bash', passwordHash: '$6$h' };
  const added = withAccount(files, account);
  expect(added.passwd).toBe('root:x:0:0:root:/root:/bin/sh\ndeploy:x:7:7::/home/deploy:/bin/bash\n');
  expect(added.shadow).toContain('\ndeploy:$6$h:');
  expect(hasAccount(added.passwd, 'deploy')).toBe(true);
  const changed = withAccount(files, { ...account, name: 'root', passwordHash: '*' });
  expect(changed.passwd).toBe(files.passwd);
  expect(changed.shadow).toBe('bin:*:1::::::\nroot:*:20000:0:99999:7:::\n');
});

test("OpenBao's audit log yields the answered requests", () => {
  const log = [
    { type: 'request', request: { operation: 'update', path: 'auth/jwt/login' } },
    { type: 'response', request: { operation: 'update', path: 'auth/jwt/login' } },
    { type: 'response', error: 'permission denied', request: { operation: 'read', path: 'secret/data/a' } },
    {
      type: 'response',
      request: { operation: 'update', path: 'auth/jwt/login' },
      response: { data: { error: 'hmac-sha256:1' } },
    },
  ];
  const text = `${log.map((line) => JSON.stringify(line)).join('\n')}\n`;
  expect(parseAudit(text)).toEqual([
    { operation: 'update', path: 'auth/jwt/login', ok: true },
    { operation: 'read', path: 'secret/data/a', ok: false },
    { operation: 'update', path: 'auth/jwt/login', ok: false },
  ]);
  const config: unknown = JSON.parse(
    renderConfig({ address: '127.0.0.1:1', certFile: '/c', keyFile: '/k', auditFile: '/a' }),
  );
  expect(config).toHaveProperty('audit.0.file.tests.options.file_path', '/a');
});
