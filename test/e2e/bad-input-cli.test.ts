import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../servers/ports.ts';
import { useStack, type CliOptions } from './stack.ts';

const stack = useStack();
let run = '';

beforeAll(async () => {
  await stack.startRunner('worker', { flags: ['--local-exec'] });
  await stack.allowLocalExec('worker');
  await stack.workflow('greet', { steps: [{ name: 'hello', node: 'local-exec', script: 'echo hi' }] });
  run = await stack.startRun('greet');
  await stack.waitForEnd(run);
});

/** A call that fails: its exit code, and what it says; nothing on stdout. */
const failure = async (args: readonly string[], options: CliOptions = {}): Promise<[number, string]> => {
  const { code, stdout, stderr } = await stack.cli(args, options);
  expect(stdout).toBe('');
  return [code, stderr];
};

const said = (code: number, what: string, next: string): [number, string] => [
  code,
  `error ${what}\n  → ${next}\n`,
];

describe('a name that is not there', () => {
  test('a run', async () => {
    for (const verb of [['logs'], ['logs', '--raw'], ['describe']])
      expect(await failure([...verb, `${run}x`])).toEqual(
        said(
          1,
          `NotFound: Namespace ${stack.namespace} has no WorkflowRun "${run}x".`,
          `See \`kubectl -n ${stack.namespace} get workflowruns\`.`,
        ),
      );
  });

  test('a run to cancel among others, which are cancelled all the same', async () => {
    const waiting = await stack.startRun('not-yet');
    const { code, stdout, stderr } = await stack.cli(['cancel', `${run}x`, waiting]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: `${waiting}\n` });
    expect(stderr).toContain(`error NotFound: workflowruns.outrider.dev "${run}x" not found`);
    expect((await stack.waitForEnd(waiting)).status?.phase).toBe('Cancelled');
  });

  test("a run to cancel, in the API server's words", async () => {
    expect(await failure(['cancel', `${run}x`])).toEqual(
      said(
        1,
        `NotFound: workflowruns.outrider.dev "${run}x" not found`,
        'Check name, --namespace and --context.',
      ),
    );
  });

  test('a run to follow', async () => {
    expect(await failure(['logs', 'nothing', '-f'])).toEqual(
      said(
        1,
        `NotFound: Namespace ${stack.namespace} has no WorkflowRun "nothing".`,
        `See \`kubectl -n ${stack.namespace} get workflowruns\`.`,
      ),
    );
  });

  test('a step', async () => {
    expect(await failure(['logs', run, 'helo'])).toEqual(
      said(
        1,
        `NotFound: Run ${run} in namespace ${stack.namespace} has no step "helo".`,
        'Name one of its steps: hello.',
      ),
    );
    expect(await failure(['logs', run, 'helo', '--raw'])).toEqual(
      said(
        1,
        `NotFound: Run ${run} in namespace ${stack.namespace} has no step "helo".`,
        'Name one of its steps: hello.',
      ),
    );
  });

  test('a workflow', async () => {
    expect(await failure(['run', 'gret'])).toEqual(
      said(
        1,
        `WorkflowNotFound: Namespace ${stack.namespace} has no Workflow "gret".`,
        `Did you mean "greet"? See \`kubectl -n ${stack.namespace} get workflows\`.`,
      ),
    );
  });

  test('a verb, and an option', async () => {
    expect(await failure(['lgs', run])).toEqual(
      said(2, 'Usage: There is no command "lgs".', 'Did you mean `outrider logs`? See `outrider help`.'),
    );
    expect(await failure(['logs', run, '--folow'])).toEqual(
      said(2, 'Usage: There is no option --folow.', 'Did you mean --follow? See `outrider help logs`.'),
    );
  });
});

describe('the way to the cluster', () => {
  test('no kubeconfig', async () => {
    const options = { kubeconfig: '/nonexistent/config' };
    expect(await failure(['runs'], options)).toEqual(
      said(
        1,
        'ConfigInvalid: There is no kubeconfig: /nonexistent/config does not exist.',
        'Name the file that your cluster gave you with --kubeconfig or KUBECONFIG.',
      ),
    );
  });

  test('an API server that does not answer', async () => {
    const file = join(stack.footprint.subfolder('cli-kube'), 'config');
    const text = readFileSync(stack.controlPlane.adminKubeconfig, 'utf8');
    const port = await freePort();
    const server = `https://127.0.0.1:${port}`;
    writeFileSync(file, text.replace(stack.controlPlane.url, server));
    expect(await failure(['runs'], { kubeconfig: file })).toEqual(
      said(
        1,
        `Unreachable: No answer from the Kubernetes API server at ${server}: connect ECONNREFUSED 127.0.0.1:${port}.`,
        'Check the address, the network between here and there, HTTPS_PROXY and NO_PROXY, and that it runs.',
      ),
    );
  });
});

describe('the way to the portal', () => {
  test('nobody listens', async () => {
    const port = await freePort();
    const url = `https://127.0.0.1:${port}`;
    expect(await failure(['runs', '--portal', url])).toEqual(
      said(
        1,
        `Unreachable: No answer from the portal at ${url}: connect ECONNREFUSED 127.0.0.1:${port}.`,
        'Check the address, the network between here and there, HTTPS_PROXY and NO_PROXY, and that it runs.',
      ),
    );
  });

  test('it shows a certificate of another CA', async () => {
    const args = [
      'runs',
      '--portal',
      stack.operator.portalUrl,
      '--portal-ca-file',
      stack.controlPlane.caFile,
    ];
    expect(await failure(args)).toEqual(
      said(
        1,
        `CertificateMismatch: The certificate of the portal at ${stack.operator.portalUrl} is not trusted: unable to verify the first certificate.`,
        'Give the certificate of its CA with --portal-ca-file or OUTRIDER_CA_FILE, or leave --portal out: the cluster knows both.',
      ),
    );
  });

  test('Outrider is installed elsewhere', async () => {
    expect(await failure(['runs', '--outrider-namespace', 'elsewhere'])).toEqual(
      said(
        1,
        `PortalNotFound: The portal's address could not be read from the ConfigMap elsewhere/outrider-portal: configmaps "outrider-portal" not found`,
        'Check that Outrider is installed there (--outrider-namespace), or give the address with --portal and --portal-ca-file.',
      ),
    );
  });

  test('a cached token that counts no more is replaced without a word', async () => {
    const folder = join(stack.footprint.subfolder('cli-cache'), 'outrider');
    const before = readdirSync(folder);
    for (const name of before) {
      const file = join(folder, name);
      const session = JSON.parse(readFileSync(file, 'utf8')) as { accessToken: string };
      writeFileSync(
        file,
        JSON.stringify({ ...session, accessToken: `${session.accessToken.slice(0, -4)}AAAA` }),
      );
    }
    const { code, stdout, stderr } = await stack.cli(['logs', run]);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'hello | hi\n', stderr: '' });
  });
});
