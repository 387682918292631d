import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { run } from './command.ts';
import { fillCache } from './tool-cache.ts';
import { cacheFolder, repositoryRoot } from './paths.ts';

/** A program that one of the pinned modules under tools/ builds. */
export interface GoTool {
  /** Folder below tools/. */
  readonly module: string;
  /** Package to build. */
  readonly package: string;
  /** Required module whose version names the cache folder. */
  readonly pinnedBy: string;
  /** Values to link in, of the version (`v1.36.3`). */
  readonly link: (version: string) => readonly string[];
  /** About how long a build with an empty Go cache takes on two cores. */
  readonly minutes: number;
  /** The version that `<program> --version` or the like prints, if PATH may be used. */
  readonly ask: readonly string[];
  /** Required module whose version the program itself prints. Default: `pinnedBy`. */
  readonly prints?: string;
}

/** Version of a required module in the text of a go.mod, with its leading `v`. */
export function requiredVersion(goMod: string, module: string): string {
  const line = new RegExp(
    String.raw`^(?:require)?\s*${module.replaceAll('.', String.raw`\.`)} (v\S+)`,
    'm',
  ).exec(goMod);
  const version = line?.[1];
  if (version === undefined) throw new Error(`go.mod requires no ${module}`);
  return version;
}

/** The pinned version of a tool and, if it differs, the version that it prints. */
export function versionsOf(tool: GoTool): { version: string; printed: string } {
  const goMod = readFileSync(join(repositoryRoot, 'tools', tool.module, 'go.mod'), 'utf8');
  const version = requiredVersion(goMod, tool.pinnedBy);
  return { version, printed: requiredVersion(goMod, tool.prints ?? tool.pinnedBy) };
}

/** Path of a tool in the cache, whether it is there or not. */
export function cachedPath(name: string, tool: GoTool): string {
  return join(cacheFolder(), 'tools', `${tool.module}-${versionsOf(tool).version}`, name);
}

/** Builds a tool into the cache, unless it is there, and returns its path. */
export async function buildTool(name: string, tool: GoTool): Promise<string> {
  const { version } = versionsOf(tool);
  const what = `${name} ${version}`;
  return fillCache(cachedPath(name, tool), {
    announce:
      `building ${what} from tools/${tool.module} ` +
      `(once; about ${tool.minutes} min on 2 cores, this machine has ${availableParallelism()})`,
    // One build fills the machine: two at once only take each other's memory.
    lock: join(cacheFolder(), 'tools', '.lock-go'),
    fill: (temporary) => goBuild(what, tool, temporary),
  });
}

async function goBuild(what: string, tool: GoTool, output: string): Promise<void> {
  const { version } = versionsOf(tool);
  const flags = ['-s', '-w', ...tool.link(version).flatMap((value) => ['-X', value])].join(' ');
  const result = await run('go', ['build', '-trimpath', '-ldflags', flags, '-o', output, tool.package], {
    cwd: join(repositoryRoot, 'tools', tool.module),
    env: { CGO_ENABLED: '0' },
    timeoutMs: 60 * 60_000,
  }).catch((error: unknown) => {
    throw new Error(
      `${what} is not in the cache and Go is not installed to build it: install Go 1.26 or later ` +
        '(https://go.dev/dl/), or name a folder that has the programs in KUBEBUILDER_ASSETS',
      { cause: error },
    );
  });
  if (result.code !== 0) {
    throw new Error(`building ${what} failed:\n${result.stderr.trimEnd().split('\n').slice(-20).join('\n')}`);
  }
}
