import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runProgram } from './program.ts';
import { plain } from './output/style.ts';
import { makeCertificate } from './testing/certificates.ts';
import { TestPortal } from './testing/portal.ts';
import { startSite, type Handler, type Seen, type Site } from './testing/site.ts';

const certificate = makeCertificate('server');
const person = makeCertificate('ann');

let folder: string;
let sites: Site[];
let portal: TestPortal;
let portalSite: Site;
let kubeSite: Site;
/** What the API server answers besides login and discovery. */
let kube: Handler;
/** What the portal answers to who is logged in. */
let serve: Handler;
let groups: string[];

const groupPath = '/apis/outrider.dev/v1alpha1/namespaces';
const status = (code: number, reason: string, message: string) => ({
  status: code,
  json: { kind: 'Status', reason, message, code },
});

const createLogin = (seen: Seen) => {
  const { spec } = JSON.parse(seen.body) as { spec: { publicKey: string } };
  const namespace = seen.path.split('/')[5] ?? '';
  const name = `login-${portal.logins.size}`;
  portal.logins.set(`${namespace}/${name}`, spec.publicKey);
  return { status: 201, json: { metadata: { namespace, name } } };
};

const apiServer: Handler = (seen, response) => {
  if (seen.path.endsWith('/selfsubjectreviews'))
    return { status: 201, json: { status: { userInfo: { username: seen.client, groups } } } };
  if (seen.path.endsWith('/configmaps/outrider-portal'))
    return { json: { data: { url: portalSite.url, 'ca.crt': certificate.cert } } };
  if (seen.path === `${groupPath}/outrider-system/logins`) return createLogin(seen);
  return kube(seen, response);
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'outrider-cli-'));
  portal = new TestPortal();
  groups = ['dev', 'system:authenticated'];
  kube = () => status(404, 'NotFound', 'nothing is here');
  serve = () => ({ json: { items: [] } });
  portalSite = await startSite(
    { ...certificate, minVersion: 'TLSv1.3' },
    portal.handler((...a) => serve(...a)),
  );
  portal.url = portalSite.url;
  kubeSite = await startSite({ ...certificate, requestCert: true, ca: person.cert }, apiServer);
  sites = [portalSite, kubeSite];
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  await writeFile(
    join(folder, 'config'),
    JSON.stringify({
      'current-context': 'x',
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'ann', namespace: 'team-a' } }],
      clusters: [
        {
          name: 'c',
          cluster: { server: kubeSite.url, 'certificate-authority-data': base64(certificate.cert) },
        },
      ],
      users: [
        {
          name: 'ann',
          user: { 'client-certificate-data': base64(person.cert), 'client-key-data': base64(person.key) },
        },
      ],
    }),
  );
});
afterEach(async () => {
  for (const site of sites) await site.close();
  await rm(folder, { recursive: true });
});

const call = async (...words: string[]) => {
  const texts = { out: '', err: '' };
  const sink = (name: 'out' | 'err') => ({
    isTTY: false,
    style: plain,
    write: async (text: string | Uint8Array) => {
      texts[name] += Buffer.from(text).toString('utf8');
    },
  });
  const code = await runProgram(
    {
      env: { KUBECONFIG: join(folder, 'config'), XDG_CACHE_HOME: join(folder, 'cache') },
      program: 'kubectl outrider',
      out: sink('out'),
      err: sink('err'),
      stdinIsTTY: false,
      interrupted: new AbortController().signal,
      now: Date.now,
    },
    words,
  );
  return { code, ...texts };
};

describe('logging in', () => {
  it('names user and groups as the API server does, with a key of its own, and shows the portal no credential of the cluster', async () => {
    expect(await call('runners', '-o', 'json')).toEqual({ code: 0, out: '{\n  "items": []\n}\n', err: '' });
    const login = kubeSite.seen.find(({ path }) => path.endsWith('/logins'));
    expect(JSON.parse(login?.body ?? '')).toEqual({
      apiVersion: 'outrider.dev/v1alpha1',
      kind: 'Login',
      metadata: { generateName: 'login-' },
      spec: { username: 'ann', groups, publicKey: expect.stringMatching(/^[\w-]{43}$/) },
    });
    expect(login?.query.get('fieldValidation')).toBe('Strict');
    expect(portalSite.seen.map(({ client }) => client)).toEqual(portalSite.seen.map(() => undefined));
  });

  it('leaves groups out where there are none', async () => {
    groups = [];
    await call('runners');
    const login = kubeSite.seen.find(({ path }) => path.endsWith('/logins'));
    expect(JSON.parse(login?.body ?? '').spec).not.toHaveProperty('groups');
  });

  it('happens once an hour, again when the token counts no more, and survives a new nonce', async () => {
    await call('runners');
    portal.nonce = 'nonce-2';
    expect((await call('runners')).code).toBe(0);
    expect(portal.issued).toBe(1);
    portal.forget();
    expect((await call('runners')).code).toBe(0);
    expect(portal.issued).toBe(2);
  });

  it('happens again when the token is about to end', async () => {
    portal.lifetimeSeconds = 20;
    await call('runners');
    await call('runners');
    expect(portal.issued).toBeGreaterThanOrEqual(2);
  });
});

describe('run', () => {
  const workflow = { spec: { parameters: [{ name: 'batch', type: 'Integer' }] } };
  beforeEach(() => {
    kube = (seen) => {
      if (seen.method === 'GET') return { json: workflow };
      return { status: 201, json: { metadata: { name: 'patch-x1', namespace: 'team-a' } } };
    };
  });

  it('creates a WorkflowRun as the user, with typed parameters, and prints its name', async () => {
    expect(await call('run', 'patch', '-p', 'batch=10', '--start-deadline', '1h')).toEqual({
      code: 0,
      out: 'patch-x1\n',
      err: '',
    });
    const created = kubeSite.seen.find(
      ({ method, path }) => method === 'POST' && path.endsWith('/workflowruns'),
    );
    expect(created?.path).toBe(`${groupPath}/team-a/workflowruns`);
    expect(created?.query.get('fieldValidation')).toBe('Strict');
    expect(JSON.parse(created?.body ?? '')).toEqual({
      apiVersion: 'outrider.dev/v1alpha1',
      kind: 'WorkflowRun',
      metadata: { generateName: 'patch-' },
      spec: {
        workflowRef: { name: 'patch' },
        parameters: { batch: 10 },
        startDeadline: '1h',
        requestedBy: 'ann',
      },
    });
  });

  it('creates nothing when a parameter is wrong', async () => {
    const { code, out, err } = await call('run', 'patch', '-p', 'batch=ten');
    expect([code, out]).toEqual([1, '']);
    expect(err).toBe(
      'error InvalidParameters: Workflow "patch" was not started: parameter "batch" is of type Integer and needs a whole number, such as 10, not "ten".\n' +
        '  → Correct the -p options. `kubectl -n team-a get workflow patch -o yaml` shows spec.parameters.\n',
    );
    expect(kubeSite.seen.some(({ path }) => path.endsWith('/workflowruns'))).toBe(false);
  });

  it("passes the API server's refusals and warnings on in its own words", async () => {
    kube = (seen) =>
      seen.method === 'GET'
        ? { json: workflow, headers: { warning: '299 - "old \\"thing\\"", 299 - "two"' } }
        : status(403, 'Forbidden', 'workflowruns is forbidden:\nann may not');
    expect(await call('run', 'patch')).toEqual({
      code: 1,
      out: '',
      err:
        'Warning: old "thing"\nWarning: two\n' +
        'error Forbidden: workflowruns is forbidden:\nann may not\n' +
        '  → Ask an administrator of the namespace for a Role that permits it.\n',
    });
  });

  it('names the workflow that was probably meant', async () => {
    kube = (seen) =>
      seen.path.endsWith('/workflows')
        ? { json: { items: [{ metadata: { name: 'patch' } }] } }
        : status(404, 'NotFound', 'not found');
    expect((await call('run', 'pach')).err).toBe(
      'error WorkflowNotFound: Namespace team-a has no Workflow "pach".\n' +
        '  → Did you mean "patch"? See `kubectl -n team-a get workflows`.\n',
    );
  });

  it.each([
    ['Succeeded', 0],
    ['Failed', 1],
    ['Cancelled', 3],
  ])('--follow shows the log and, when the run %s, ends with %i', async (phase, expected) => {
    const line = { task: 't', epoch: 1, step: 'one', target: '', line: 0, stream: 'stdout', text: 'hi' };
    const run = {
      name: 'patch-x1',
      phase,
      finishedAt: '2026-11-22T12:00:00Z',
      reason: 'Why',
      message: 'So.',
    };
    serve = () => ({
      text: `event: line\ndata: ${JSON.stringify(line)}\n\nevent: run\ndata: ${JSON.stringify(run)}\n\n`,
    });
    const { code, out, err } = await call('run', 'patch', '--follow', '-n', 'team-b');
    expect([code, out]).toEqual([expected, 'one | hi\n']);
    expect(err).toContain(`patch-x1: ${phase}`);
    expect((await call('run', 'patch', '-f', '-q')).err).toBe('');
  });
});

describe('runner token', () => {
  it('prints the token alone into a pipe, and asks for what the options say', async () => {
    serve = () => ({
      status: 201,
      json: { token: 'tok', expiresAt: '2026-11-22T13:00:00Z', url: 'https://r' },
    });
    const words = [
      'runner',
      'token',
      '--tags',
      'a,b',
      '--tags',
      'c',
      '--ttl',
      '1m30s',
      '--local',
      '-n',
      'ops',
    ];
    expect(await call(...words)).toEqual({ code: 0, out: 'tok\n', err: '' });
    const asked = portalSite.seen.at(-1);
    expect([asked?.method, asked?.path]).toEqual(['POST', '/api/v1/namespaces/ops/registrationtokens']);
    expect(JSON.parse(asked?.body ?? '')).toEqual({ tags: ['a', 'b', 'c'], ttlSeconds: 90, local: true });
  });

  it.each(['5', '30s', '2h', '1 h'])('refuses --ttl %s', async (ttl) => {
    const { code, err } = await call('runner', 'token', `--ttl=${ttl}`);
    expect(code).toBe(2);
    expect(err).toMatch(/^error Usage: --ttl /);
  });
});

describe('cancel', () => {
  it('sets desiredState by a merge patch and prints the name', async () => {
    kube = () => ({ json: { metadata: { name: 'r' } } });
    expect(await call('cancel', 'r', '-q')).toEqual({ code: 0, out: 'r\n', err: '' });
    const patch = kubeSite.seen.at(-1);
    expect([patch?.method, patch?.path, patch?.headers['content-type'], patch?.body]).toEqual([
      'PATCH',
      `${groupPath}/team-a/workflowruns/r`,
      'application/merge-patch+json',
      '{"spec":{"desiredState":"Cancelled"}}',
    ]);
  });
});

describe('logs', () => {
  it('--raw writes the bytes as they are', async () => {
    serve = () => ({ text: 'a\r\nb\u0000' });
    expect(await call('logs', 'r', 'one', '--raw')).toEqual({ code: 0, out: 'a\r\nb\u0000', err: '' });
    expect(portalSite.seen.at(-1)?.path).toBe('/api/v1/namespaces/team-a/workflowruns/r/log/raw');
    expect(portalSite.seen.at(-1)?.query.get('step')).toBe('one');
  });

  it('--raw that breaks off is an error, not an end', async () => {
    serve = (_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('begin', () => response.destroy());
      return undefined;
    };
    const { code, out, err } = await call('logs', 'r', '--raw');
    expect([code, out]).toEqual([1, 'begin']);
    expect(err).toMatch(/^error Unreachable: The log broke off after 5 bytes: /);
  });

  it("passes the portal's refusals on", async () => {
    serve = () => ({ status: 403, json: { code: 'Forbidden', message: 'No.', action: 'Ask.' } });
    expect(await call('logs', 'r')).toEqual({ code: 1, out: '', err: 'error Forbidden: No.\n  → Ask.\n' });
  });
});

describe('wrong usage', () => {
  it.each([
    [
      ['lgs'],
      'There is no command "lgs".',
      'Did you mean `kubectl outrider logs`? See `kubectl outrider help`.',
    ],
    [
      ['runner', 'tokn'],
      'There is no command "runner tokn".',
      'Did you mean `kubectl outrider runner token`? See `kubectl outrider help`.',
    ],
    [
      ['run'],
      '"run" needs WORKFLOW.',
      'Write `kubectl outrider run WORKFLOW`; see `kubectl outrider help run`.',
    ],
    [
      ['runs', 'x'],
      '"x" is one word too many for "runs".',
      'Write `kubectl outrider runs`; see `kubectl outrider help runs`.',
    ],
    [
      ['runs', '-o', 'jsn'],
      '-o jsn is unknown to "runs".',
      'Did you mean json? It takes json, yaml, wide, name.',
    ],
    [
      ['logs', 'r', '--raw', '-f'],
      '--raw does not go with --follow.',
      '--raw writes the bytes that are there, as they are; leave one of the two out.',
    ],
  ])('%j is refused with 2 and what to do', async (words, message, action) => {
    expect(await call(...words)).toEqual({
      code: 2,
      out: '',
      err: `error Usage: ${message}\n  → ${action}\n`,
    });
    expect(kubeSite.seen).toEqual([]);
  });

  it('options may stand before the verb', async () => {
    await call('-n', 'team-c', '-q', 'runners');
    expect(portalSite.seen.at(-1)?.path).toBe('/api/v1/namespaces/team-c/runners');
  });

  it('help explains each verb with examples in the name that the program was called by', async () => {
    for (const verb of ['run', 'logs', 'runs', 'describe', 'cancel', 'runners', 'runner token', 'version']) {
      const help = await call('help', ...verb.split(' '));
      expect(help.code).toBe(0);
      expect(help.out).toContain(`Usage: kubectl outrider ${verb}`);
      expect(help.out).toContain(`\nExamples\n  # `);
      expect(await call(...verb.split(' '), '--help')).toEqual(help);
    }
    expect((await call('help')).out).toContain('\n  runner token ');
  });
});

describe('the portal', () => {
  it('with a certificate of another CA is refused, with what to do', async () => {
    const { code, err } = await call('runners', '--portal', portalSite.url);
    expect(code).toBe(1);
    expect(err).toMatch(
      /^error CertificateMismatch: The certificate of the portal at https:\/\/127\.0\.0\.1:\d+ is not trusted: /,
    );
    await writeFile(join(folder, 'ca.pem'), certificate.cert);
    const words = ['--portal', `${portalSite.url}/`, '--portal-ca-file', join(folder, 'ca.pem')];
    expect((await call('runners', ...words, '-o', 'name')).code).toBe(0);
    expect((await call('runners', '--portal', 'http://x')).err).toBe(
      'error ConfigInvalid: The portal\'s address "http://x" (--portal or OUTRIDER_PORTAL_URL) is no https URL.\n' +
        '  → Write it like https://outrider.example.com:8444.\n',
    );
  });
});
