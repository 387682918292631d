import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { createRunnerApi } from '@outrider/runner/agent/api';
import { loadCa } from '@outrider/runner/agent/ca';
import { createTransport } from '@outrider/runner/agent/http';
import { loadKey } from '@outrider/runner/agent/key';
import { loadRegistration } from '@outrider/runner/agent/registration';
import { createAuthorizer } from '@outrider/runner/agent/token';
import { buildEarlier, lastOfVersion1, type EarlierProgram } from '../compatibility/earlier-build.ts';
import * as recorded from '../compatibility/version-1.ts';
import { must } from '../servers/command.ts';
import { startRunner, systemNamespace } from '../servers/outrider.ts';
import { startProcess, type ServerProcess } from '../servers/process.ts';
import { exited } from './faults-fixture.ts';
import { useStack } from './stack.ts';

const stack = useStack();
/** Undefined in a clone whose history does not reach back: then its recorded messages stand for it. */
let earlier: EarlierProgram | undefined;

beforeAll(async () => {
  earlier = await buildEarlier(stack.footprint, lastOfVersion1);
});

const linesOf = ({ logFile }: ServerProcess): string[] => readFileSync(logFile, 'utf8').trim().split('\n');

const wordsOf = (refusal: { readonly message: string; readonly action: string }): string[] => [
  `error ProtocolVersionUnsupported: ${refusal.message}`,
  `  → ${refusal.action}`,
];

/** Says once what is wrong and ends: whoever starts it again gets no flood. */
const expectRefusal = async (
  runner: ServerProcess,
  end: { code: number; words: readonly string[] },
): Promise<void> => {
  expect(await exited(runner, 20_000)).toBe(end.code);
  const lines = linesOf(runner);
  expect(lines.slice(-2)).toEqual(end.words);
  expect(lines.length).toBeLessThan(10);
};

const message =
  'The runner (release 0.1.0) speaks version 1 of the runner protocol, this operator (release 0.1.0) version 2 only.';
const action = 'Upgrade the runner to release 0.1.0; it keeps its key, its registration and its journal.';

/** The session request that a runner of version 1 sent, by the key of a runner of today. */
const sendRecorded = async (): Promise<unknown> => {
  const { stateDir } = await stack.startRunner('of-today');
  const [key, registration, ca] = [
    await loadKey(stateDir),
    await loadRegistration(stateDir),
    await loadCa({ stateDir }),
  ];
  if (key === undefined || registration === undefined || ca === undefined)
    throw new Error('the runner has not joined');
  const transport = createTransport({ url: registration.url, ca });
  try {
    const api = createRunnerApi(createAuthorizer({ transport, key, clientId: registration.clientId }));
    return await api.openSession(recorded.sessionRequest, AbortSignal.timeout(20_000));
  } finally {
    await transport.close();
  }
};

test('a runner of protocol version 1 is refused by this operator in clear words, and ends', async () => {
  await expect(sendRecorded()).rejects.toMatchObject({
    code: 'ProtocolVersionUnsupported',
    message,
    action,
  });
  if (earlier === undefined) return;
  const stateDir = join(stack.footprint.subfolder('earlier'), 'runner');
  const runner = await startProcess(stack.footprint, {
    name: 'earlier-runner',
    command: process.execPath,
    args: [earlier('runner', 'outrider-runner.js'), 'run', '--state-dir', stateDir, '--name', 'earlier'],
    env: { OUTRIDER_RUNNER_TOKEN: await stack.registrationToken() },
  });
  await expectRefusal(runner, { code: 1, words: wordsOf({ message, action }) });
});

/** In place of today's operator, at its addresses, with a data folder of its own. */
const startEarlierOperator = async (program: string): Promise<ServerProcess> => {
  const { portalUrl, runnerApiUrl, metricsUrl, kubeconfig, process: current } = stack.operator;
  current.signal('SIGTERM');
  await exited(current, 20_000);
  const port = (url: string): string => new URL(url).port;
  const flags = {
    namespace: systemNamespace,
    identity: 'earlier-0',
    'data-dir': stack.footprint.subfolder('earlier-data'),
    host: '0.0.0.0',
    'tls-names': 'localhost,127.0.0.1',
    'runner-api-port': port(runnerApiUrl),
    'runner-api-url': runnerApiUrl,
    'portal-port': port(portalUrl),
    'portal-url': portalUrl,
    'metrics-port': port(metricsUrl),
  };
  return startProcess(stack.footprint, {
    name: 'earlier-operator',
    command: process.execPath,
    args: [program, ...Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value])],
    env: { KUBECONFIG: kubeconfig },
    ready: async () => (await fetch(`${metricsUrl}/readyz`)).ok,
  });
};

test('an operator of protocol version 1 refuses this runner in clear words, and the runner ends with 3', async () => {
  if (earlier === undefined) return;
  const operator = await startEarlierOperator(earlier('operator', 'outrider-operator.js'));
  const command = [earlier('cli', 'outrider.js'), '-n', stack.namespace, 'runner', 'token', '-o', 'name'];
  const env = {
    KUBECONFIG: stack.controlPlane.adminKubeconfig,
    XDG_CACHE_HOME: stack.footprint.subfolder('earlier-cli-cache'),
  };
  const token = (await must(process.execPath, command, { env })).trim();
  const runner = await startRunner({ footprint: stack.footprint, name: 'too-new', token });
  await expectRefusal(runner.process, { code: 3, words: wordsOf(recorded.refusal) });
  await operator.stop();
  await stack.restartOperator();
});
