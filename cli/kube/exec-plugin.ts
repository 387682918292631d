import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { jsonObject } from '../http.ts';
import { CliError } from '../errors.ts';
import type { Entry } from './kubeconfig.ts';
import { listOf, mapping, textOf, type Mapping } from './values.ts';

/** What a credential plugin gave. */
export interface PluginCredential {
  readonly token?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Milliseconds since the Unix epoch; absent when it lasts for this process. */
  readonly expiresAt?: number;
}

export interface PluginOptions {
  readonly user: Entry;
  readonly exec: Mapping;
  readonly cluster: Mapping;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly isTTY: boolean;
}

const refuse = (command: string, why: string, action: string): CliError =>
  new CliError({
    code: 'CredentialPluginFailed',
    message: `The credential plugin ${command} of the kubeconfig ${why}.`,
    action,
  });

/** What the plugin is told, by KUBERNETES_EXEC_INFO. */
const execInfo = ({ exec, cluster, isTTY }: PluginOptions): string =>
  JSON.stringify({
    apiVersion: exec['apiVersion'],
    kind: 'ExecCredential',
    spec: {
      interactive: isTTY && exec['interactiveMode'] !== 'Never',
      ...(exec['provideClusterInfo'] === true ? { cluster } : {}),
    },
  });

const environment = (options: PluginOptions): Record<string, string> => {
  const set = listOf(options.exec['env']).map(mapping);
  const added = set.map((each) => [textOf(each['name']) ?? '', textOf(each['value']) ?? '']);
  const inherited = Object.entries(options.env).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  return {
    ...Object.fromEntries(inherited),
    ...Object.fromEntries(added),
    KUBERNETES_EXEC_INFO: execInfo(options),
  };
};

/** Runs the program itself, never a shell; its stderr is the user's, as with kubectl. */
const runPlugin = (command: string, options: PluginOptions): Promise<string> =>
  new Promise((done, fail) => {
    const args = listOf(options.exec['args']).map(String);
    const child = spawn(command, args, {
      env: environment(options),
      stdio: [options.isTTY ? 'inherit' : 'ignore', 'pipe', 'inherit'],
    });
    const parts: Buffer[] = [];
    child.stdout?.on('data', (part: Buffer) => parts.push(part));
    child.once('error', (error) =>
      fail(
        refuse(
          command,
          `cannot be started: ${error.message}`,
          textOf(options.exec['installHint']) ?? 'Install it, or correct users[].user.exec.command.',
        ),
      ),
    );
    child.once('close', (code, signal) =>
      code === 0
        ? done(Buffer.concat(parts).toString('utf8'))
        : fail(
            refuse(
              command,
              signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`,
              'Its own message stands above; often a login is needed.',
            ),
          ),
    );
  });

/** client.authentication.k8s.io: a program that prints an ExecCredential. @throws CliError CredentialPluginFailed */
export const pluginCredential = async (options: PluginOptions): Promise<PluginCredential> => {
  const named = textOf(options.exec['command']) ?? '';
  // As kubectl has it: a bare name is looked up in PATH, a relative path counts from the kubeconfig.
  const command = named.includes('/') ? resolve(options.user.folder, named) : named;
  const status = mapping(jsonObject(await runPlugin(command, options))['status']);
  const token = textOf(status['token']);
  const cert = textOf(status['clientCertificateData']);
  const key = textOf(status['clientKeyData']);
  if (token === undefined && cert === undefined)
    throw refuse(command, 'printed no token and no certificate', 'Run it by hand and see what it prints.');
  const expires = Date.parse(textOf(status['expirationTimestamp']) ?? '');
  return {
    ...(token === undefined ? {} : { token }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    ...(Number.isNaN(expires) ? {} : { expiresAt: expires }),
  };
};
