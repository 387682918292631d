import { rm } from 'node:fs/promises';
import { build, type BuildOptions } from 'esbuild';

/** CommonJS dependencies inside an ES module bundle ask for `require`, `__filename` and `__dirname`. */
const banner = {
  js: [
    "import { createRequire as bundleRequire } from 'node:module';",
    "import { fileURLToPath as bundlePath } from 'node:url';",
    'const require = bundleRequire(import.meta.url);',
    'const __filename = bundlePath(import.meta.url);',
    "const __dirname = bundlePath(new URL('.', import.meta.url));",
  ].join('\n'),
};

const shared: BuildOptions = {
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  splitting: true,
  conditions: ['development'],
  banner,
  // Names stay readable in stack traces; white space alone would cost the operator 10 MB of memory.
  minifyWhitespace: true,
  minifySyntax: true,
  sourcemap: 'linked',
  logLevel: 'warning',
  // ssh2's optional native parts: it works without them.
  external: ['cpu-features', '*.node'],
};

const programs: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  operator: {
    'outrider-operator': 'operator/main.ts',
    'ledger-worker': 'operator/ledger/sqlite/worker.ts',
    'logs-worker': 'operator/logs/worker.ts',
  },
  runner: { 'outrider-runner': 'runner/main.ts', worker: 'runner/execution/worker.ts' },
  cli: { outrider: 'cli/main.ts' },
};

/** One folder a program under dist/; executors are chunks of their own, loaded when a task first needs them. */
for (const [program, entryPoints] of Object.entries(programs)) {
  await rm(`dist/${program}`, { recursive: true, force: true });
  await build({ ...shared, entryPoints, outdir: `dist/${program}` });
}
