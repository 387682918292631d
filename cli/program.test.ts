import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { certificate, Installation } from './testing/installation.ts';

let installation: Installation;
beforeEach(async () => {
  installation = await Installation.start();
});
afterEach(() => installation.close());

describe('logging in', () => {
  it('names user and groups as the API server does, with a key of its own, and shows the portal no credential of the cluster', async () => {
    expect(await installation.call('runners', '-o', 'json')).toEqual({
      code: 0,
      out: '{\n  "items": []\n}\n',
      err: '',
    });
    const login = installation.kubeSite.seen.find(({ path }) => path.endsWith('/logins'));
    expect(JSON.parse(login?.body ?? '')).toEqual({
      apiVersion: 'outrider.dev/v1alpha1',
      kind: 'Login',
      metadata: { generateName: 'login-' },
      spec: { username: 'ann', groups: installation.groups, publicKey: expect.stringMatching(/^[\w-]{43}$/) },
    });
    expect(login?.query.get('fieldValidation')).toBe('Strict');
    expect(installation.portalSite.seen.map(({ client }) => client)).toEqual(
      installation.portalSite.seen.map(() => undefined),
    );
  });

  it('leaves groups out where there are none', async () => {
    installation.groups = [];
    await installation.call('runners');
    const login = installation.kubeSite.seen.find(({ path }) => path.endsWith('/logins'));
    expect(JSON.parse(login?.body ?? '').spec).not.toHaveProperty('groups');
  });

  it('happens once an hour, again when the token counts no more, and survives a new nonce', async () => {
    await installation.call('runners');
    installation.portal.nonce = 'nonce-2';
    expect((await installation.call('runners')).code).toBe(0);
    expect(installation.portal.issued).toBe(1);
    installation.portal.forget();
    expect((await installation.call('runners')).code).toBe(0);
    expect(installation.portal.issued).toBe(2);
  });

  it('happens again when the token is about to end', async () => {
    installation.portal.lifetimeSeconds = 20;
    await installation.call('runners');
    await installation.call('runners');
    expect(installation.portal.issued).toBeGreaterThanOrEqual(2);
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
    expect(await installation.call(...words)).toEqual({
      code: 2,
      out: '',
      err: `error Usage: ${message}\n  → ${action}\n`,
    });
    expect(installation.kubeSite.seen).toEqual([]);
  });

  it('options may stand before the verb', async () => {
    await installation.call('-n', 'team-c', '-q', 'runners');
    expect(installation.portalSite.seen.at(-1)?.path).toBe('/api/v1/namespaces/team-c/runners');
  });

  it('help explains each verb with examples in the name that the program was called by', async () => {
    for (const verb of ['run', 'logs', 'runs', 'describe', 'cancel', 'runners', 'runner token', 'version']) {
      const help = await installation.call('help', ...verb.split(' '));
      expect(help.code).toBe(0);
      expect(help.out).toContain(`Usage: kubectl outrider ${verb}`);
      expect(help.out).toContain(`\nExamples\n  # `);
      expect(await installation.call(...verb.split(' '), '--help')).toEqual(help);
    }
    expect((await installation.call('help')).out).toContain('\n  runner token ');
  });
});

describe('the portal', () => {
  it('with a certificate of another CA is refused, with what to do', async () => {
    const { code, err } = await installation.call('runners', '--portal', installation.portalSite.url);
    expect(code).toBe(1);
    expect(err).toMatch(
      /^error CertificateMismatch: The certificate of the portal at https:\/\/127\.0\.0\.1:\d+ is not trusted: /,
    );
    await writeFile(join(installation.folder, 'ca.pem'), certificate.cert);
    const words = [
      '--portal',
      `${installation.portalSite.url}/`,
      '--portal-ca-file',
      join(installation.folder, 'ca.pem'),
    ];
    expect((await installation.call('runners', ...words, '-o', 'name')).code).toBe(0);
    expect((await installation.call('runners', '--portal', 'http://x')).err).toBe(
      'error ConfigInvalid: The portal\'s address "http://x" (--portal or OUTRIDER_PORTAL_URL) is no https URL.\n' +
        '  → Write it like https://outrider.example.com:8444.\n',
    );
  });
});
