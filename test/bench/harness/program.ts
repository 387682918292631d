import { fork } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import type { Footprint } from '../../servers/footprint.ts';
import { repositoryRoot } from '../../servers/paths.ts';
import type { Handlers, Reply } from './rpc.ts';

const programs = ['operator', 'registrar', 'fleet', 'bare-https', 'ssh-loop'] as const;
export type ProgramName = (typeof programs)[number];

/** As `make build` makes the shipped programs: one folder, so that the operator finds its workers beside it. */
const bundleInto = async (folder: string): Promise<void> => {
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}\n');
  const source = (path: string): string => join(repositoryRoot, path);
  await build({
    entryPoints: {
      ...Object.fromEntries(programs.map((name) => [name, source(`test/bench/programs/${name}.ts`)])),
      'ledger-worker': source('operator/ledger/sqlite/worker.ts'),
      'logs-worker': source('operator/logs/worker.ts'),
    },
    outdir: folder,
    absWorkingDir: repositoryRoot,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    splitting: true,
    conditions: ['development'],
    banner: {
      js: [
        "import { createRequire as bundleRequire } from 'node:module';",
        'const require = bundleRequire(import.meta.url);',
        'const __filename = import.meta.filename;',
        'const __dirname = import.meta.dirname;',
      ].join('\n'),
    },
    external: ['cpu-features', '*.node', 'pg-native'],
    logLevel: 'warning',
  });
};

/** A program of the bench in a process of its own, so that its memory and processor time can be told apart. */
export interface Program<H extends Handlers> {
  readonly pid: number;
  call<Name extends keyof H & string>(
    name: Name,
    ...argument: Parameters<H[Name]>
  ): Promise<Awaited<ReturnType<H[Name]>>>;
  stop(): Promise<void>;
}

export interface Launch {
  /** Tells several processes of one program apart in their log files. */
  readonly name: string;
  readonly nodeFlags?: readonly string[];
}

/** Bundles the programs once and starts them; they end with this process. */
export const createLauncher = (footprint: Footprint) => {
  const folder = footprint.subfolder('programs');
  const running = new Set<() => Promise<void>>();
  let bundled: Promise<void> | undefined;

  const start = async <H extends Handlers>(program: ProgramName, launch: Launch): Promise<Program<H>> => {
    await (bundled ??= bundleInto(folder));
    const log = openSync(join(footprint.subfolder('logs'), `${launch.name}.log`), 'a', 0o600);
    const child = fork(join(folder, `${program}.js`), {
      serialization: 'advanced',
      execArgv: [...(launch.nodeFlags ?? [])],
      stdio: ['ignore', log, log, 'ipc'],
    });
    closeSync(log);
    const waiting = new Map<number, PromiseWithResolvers<unknown>>();
    let lastId = 0;
    child.on('message', (reply: Reply) => {
      const call = waiting.get(reply.id);
      waiting.delete(reply.id);
      if (reply.ok) call?.resolve(reply.value);
      else call?.reject(new Error(`${launch.name}: ${reply.problem.message}`));
    });
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    void ended.then(() => {
      for (const call of waiting.values()) call.reject(new Error(`${launch.name} ended before it answered`));
    });
    const stop = async (): Promise<void> => {
      running.delete(stop);
      if (child.connected) child.disconnect();
      await ended;
    };
    running.add(stop);
    return {
      pid: child.pid ?? 0,
      call: (name, ...[argument]) => {
        if (!child.connected) return Promise.reject(new Error(`${launch.name} has ended; its log says why`));
        const call = Promise.withResolvers<unknown>();
        waiting.set(++lastId, call);
        child.send({ id: lastId, name, argument });
        return call.promise as Promise<Awaited<ReturnType<H[typeof name]>>>;
      },
      stop,
    };
  };
  /** Ends what is still running. */
  const stop = async (): Promise<void> => {
    await Promise.all([...running].map((each) => each()));
  };
  return { start, stop };
};

export type Launcher = ReturnType<typeof createLauncher>;
