import { expect, test } from 'vitest';
import { help, readConfig } from './config.ts';
import { defaultOperatorTimes } from './time-flags.ts';

test('a flag comes before the environment, and the environment before the default', () => {
  const env = { OUTRIDER_DATA_DIR: '/data', OUTRIDER_NAMESPACE: 'ops' };
  const config = readConfig(['--namespace', 'outrider'], env);
  expect([config.namespace, config.dataDir, config.portalPort]).toEqual(['outrider', '/data', 8444]);
});

test('the server certificate names the hosts of both URLs', () => {
  const config = readConfig(
    ['--portal-url', 'https://portal.example.com', '--runner-api-url', 'https://[::1]:8443'],
    {},
  );
  expect(config.tlsNames).toEqual(['localhost', '127.0.0.1', '::1', 'portal.example.com']);
});

test('the defaults that the help shows are those of the dispatcher', () => {
  expect(readConfig([], {}).times).toEqual(defaultOperatorTimes);
  expect(help()).toContain(
    'What a runner holds is its own for so long after it last said that it holds it. [90s]',
  );
});

test('every time can be set, by flag or by environment', () => {
  const flags = ['--lease', '6s', '--poll-time', '2s', '--offer-time', '3s', '--unknown-grace', '4s'];
  const env = {
    OUTRIDER_KILL_GRACE: '500ms',
    OUTRIDER_ONLINE_TIME: '5s',
    OUTRIDER_OFFLINE_TIME: '8s',
    OUTRIDER_SETTLE_TIME: '1s',
    OUTRIDER_LEADER_LEASE: '5s',
  };
  expect(readConfig(flags, env).times).toEqual({
    leaseMs: 6000,
    pollMs: 2000,
    offerMs: 3000,
    unknownGraceMs: 4000,
    killGraceMs: 500,
    onlineMs: 5000,
    offlineMs: 8000,
    settleMs: 1000,
    leaderLeaseMs: 5000,
  });
});

test('there is no limit for a namespace and no URL of the ledger unless they are given', () => {
  const { namespaceConcurrency, ledgerUrl } = readConfig([], {});
  expect([namespaceConcurrency, ledgerUrl]).toEqual([undefined, undefined]);
  const env = { OUTRIDER_LEDGER_URL: 'postgres://outrider:s3cret@db.example.com:5432/outrider' };
  const given = readConfig(['--namespace-concurrency', '20'], env);
  expect([given.namespaceConcurrency, given.ledgerUrl]).toEqual([20, env.OUTRIDER_LEDGER_URL]);
});

test('a ledger URL that is refused is not repeated: it may hold a password', () => {
  const refused = (): unknown => readConfig([], { OUTRIDER_LEDGER_URL: 'mysql://root:s3cret@db' });
  expect(refused).toThrow(
    '--ledger-url is not a URL of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE',
  );
  expect(refused).not.toThrow('s3cret');
});

test.each([
  [['--portal-port', 'many'], '--portal-port many is not a port (0 to 65535).'],
  [
    ['--unknown-grace', '5 minutes'],
    '--unknown-grace 5 minutes is not a duration; write it like 15m or 1h30m.',
  ],
  [
    ['--lease', '2s'],
    '--lease 2s is not between 3s and 10m: a shorter one is lost in an ordinary hiccup, a longer one hides for too long that a runner died.',
  ],
  [
    ['--lease', '6s', '--poll-time', '2500ms'],
    '--poll-time 2s500ms is too long for --lease 6s: each poll renews the leases of what its runner holds, and one that fails must leave time for the next. Give at most a third of the lease, 2s, or a longer lease.',
  ],
  [
    ['--online-time', '2m'],
    '--online-time 2m is not below --offline-time 2m: between the two a silent runner is Degraded. Give a shorter one or a longer --offline-time.',
  ],
  [['--namespace-concurrency', '-1'], '--namespace-concurrency'],
  [
    ['--namespace-concurrency=-1'],
    '--namespace-concurrency -1 is not a whole number; 0 stands for no limit.',
  ],
  [
    ['--tls-key-file', 'key.pem'],
    '--tls-key-file, --tls-cert-file and --tls-ca-file belong together: give all three or none.',
  ],
  [['--colour'], "Unknown option '--colour'"],
])('%j is refused', (args, words) => {
  expect(() => readConfig(args, {})).toThrow(words);
});
