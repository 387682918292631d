import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../program.ts';
import { plain } from '../output/style.ts';
import { makeCertificate } from './certificates.ts';
import { TestPortal } from './portal.ts';
import { startSite, type Handler, type Reply, type Seen, type Site } from './site.ts';

export const certificate = makeCertificate('server');
const person = makeCertificate('ann');

export const groupPath = '/apis/outrider.dev/v1alpha1/namespaces';

/** A metav1.Status, as the API server refuses. */
export const kubeStatus = (code: number, reason: string, message: string): Reply => ({
  status: code,
  json: { kind: 'Status', reason, message, code },
});

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** An API server and a portal over HTTPS, and the program as a user with a client certificate calls it. */
export class Installation {
  readonly folder: string;
  readonly portal = new TestPortal();
  #sites: { readonly portal: Site; readonly kube: Site } | undefined;
  /** What the API server answers besides login and discovery. */
  kube: Handler = () => kubeStatus(404, 'NotFound', 'nothing is here');
  /** What the portal answers to who is logged in. */
  serve: Handler = () => ({ json: { items: [] } });
  groups: readonly string[] = ['dev', 'system:authenticated'];

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async start(): Promise<Installation> {
    const it = new Installation(await mkdtemp(join(tmpdir(), 'outrider-cli-')));
    const { portal } = it;
    it.#sites = {
      portal: await startSite(
        { ...certificate, minVersion: 'TLSv1.3' },
        portal.handler((seen, response) => it.serve(seen, response)),
      ),
      kube: await startSite({ ...certificate, requestCert: true, ca: person.cert }, (seen, response) =>
        it.#apiServer(seen, response),
      ),
    };
    portal.url = it.portalSite.url;
    await it.#writeKubeconfig();
    return it;
  }

  get portalSite(): Site {
    return this.#site('portal');
  }

  get kubeSite(): Site {
    return this.#site('kube');
  }

  #site(name: 'portal' | 'kube'): Site {
    if (!this.#sites) throw new Error('not started');
    return this.#sites[name];
  }

  #apiServer(seen: Seen, response: Parameters<Handler>[1]): ReturnType<Handler> {
    if (seen.path.endsWith('/selfsubjectreviews'))
      return {
        status: 201,
        json: { status: { userInfo: { username: seen.client, groups: this.groups } } },
      };
    if (seen.path.endsWith('/configmaps/outrider-portal'))
      return { json: { data: { url: this.portalSite.url, 'ca.crt': certificate.cert } } };
    if (seen.path === `${groupPath}/outrider-system/logins`) return this.#createLogin(seen);
    return this.kube(seen, response);
  }

  #createLogin(seen: Seen): Reply {
    const { spec } = JSON.parse(seen.body) as { spec: { publicKey: string } };
    const namespace = seen.path.split('/')[5] ?? '';
    const name = `login-${this.portal.logins.size}`;
    this.portal.logins.set(`${namespace}/${name}`, spec.publicKey);
    return { status: 201, json: { metadata: { namespace, name } } };
  }

  async #writeKubeconfig(): Promise<void> {
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    const cluster = { server: this.kubeSite.url, 'certificate-authority-data': base64(certificate.cert) };
    const user = { 'client-certificate-data': base64(person.cert), 'client-key-data': base64(person.key) };
    const config = {
      'current-context': 'x',
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'ann', namespace: 'team-a' } }],
      clusters: [{ name: 'c', cluster }],
      users: [{ name: 'ann', user }],
    };
    await writeFile(join(this.folder, 'config'), JSON.stringify(config));
  }

  /** Runs the program with these words, its output into a pipe. */
  async call(...words: string[]): Promise<Outcome> {
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
        env: { KUBECONFIG: join(this.folder, 'config'), XDG_CACHE_HOME: join(this.folder, 'cache') },
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
  }

  async close(): Promise<void> {
    await this.portalSite.close();
    await this.kubeSite.close();
    await rm(this.folder, { recursive: true });
  }
}
