import { rename, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build, type BuildOptions, type Plugin } from 'esbuild';

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

const slim = fileURLToPath(new URL('operator/kube/client-node-slim.ts', import.meta.url));
const fromOperatorLibrary = /[\\/]@dot-i[\\/]k8s-operator[\\/]/;
const generated = /[\\/]@kubernetes[\\/]client-node[\\/]dist[\\/]gen[\\/]/;

/** Leaves out what the process shell never calls: the generated Kubernetes API, and an HTTP client that warns at its start. */
const slimShell: Plugin = {
  name: 'slim-shell',
  setup: (bundler) => {
    bundler.onResolve({ filter: /^@kubernetes\/client-node$/ }, ({ importer }) =>
      fromOperatorLibrary.test(importer) ? { path: slim } : undefined,
    );
    bundler.onResolve({ filter: /^gaxios$/ }, ({ importer }) =>
      fromOperatorLibrary.test(importer) ? { path: 'gaxios', namespace: 'never-called' } : undefined,
    );
    bundler.onLoad({ filter: /.*/, namespace: 'never-called' }, () => ({ contents: 'export {};' }));
    bundler.onResolve({ filter: /^\.{1,2}\// }, async ({ path, importer, resolveDir, kind, pluginData }) => {
      if (pluginData === 'resolved' || !/client-node/.test(importer)) return undefined;
      const found = await bundler.resolve(path, { importer, resolveDir, kind, pluginData: 'resolved' });
      return generated.test(found.path) ? { ...found, sideEffects: false } : undefined;
    });
  },
};

const shared: BuildOptions = {
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  splitting: true,
  conditions: ['development'],
  banner,
  plugins: [slimShell],
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

/**
 * One folder a program under dist/; executors are chunks of their own, loaded when a task first needs them. What was there
 * is replaced when the new one is whole.
 */
for (const [program, entryPoints] of Object.entries(programs)) {
  const [whole, fresh] = [`dist/${program}`, `dist/.${program}-${process.pid}`];
  await build({ ...shared, entryPoints, outdir: fresh });
  await rm(whole, { recursive: true, force: true });
  await rename(fresh, whole);
}
