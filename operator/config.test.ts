import { expect, test } from 'vitest';
import { readConfig } from './config.ts';

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

test.each([
  [['--portal-port', 'many'], '--portal-port many is not a port (0 to 65535).'],
  [
    ['--unknown-grace', '5 minutes'],
    '--unknown-grace 5 minutes is not a duration; write it like 15m or 1h30m.',
  ],
  [
    ['--tls-key-file', 'key.pem'],
    '--tls-key-file, --tls-cert-file and --tls-ca-file belong together: give all three or none.',
  ],
  [['--colour'], "Unknown option '--colour'"],
])('%j is refused', (args, words) => {
  expect(() => readConfig(args, {})).toThrow(words);
});
