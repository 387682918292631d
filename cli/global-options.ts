import type { Arguments, OptionSpecs } from './arguments.ts';
import { outputFormats, type Command, type OutputFormat } from './command.ts';
import { usageError } from './errors.ts';
import { nearest } from './nearest.ts';

/** Options of every verb that talks to a server. */
export const globalOptions: OptionSpecs = {
  namespace: { type: 'string', short: 'n', value: 'NAME', help: "Namespace; the context's when absent." },
  context: { type: 'string', value: 'NAME', help: 'Context of the kubeconfig.' },
  kubeconfig: { type: 'string', value: 'FILE', help: 'KUBECONFIG or ~/.kube/config when absent.' },
  portal: {
    type: 'string',
    value: 'URL',
    help: "Address of the portal; OUTRIDER_PORTAL_URL, else the cluster's ConfigMap, when absent.",
  },
  'portal-ca-file': {
    type: 'string',
    value: 'FILE',
    help: "PEM of the portal's CA; OUTRIDER_CA_FILE, else the cluster's ConfigMap, when absent.",
  },
  'outrider-namespace': {
    type: 'string',
    value: 'NAME',
    help: 'Where Outrider is installed; outrider-system when absent.',
  },
  quiet: { type: 'boolean', short: 'q', help: 'Nothing on stderr but errors.' },
  help: { type: 'boolean', short: 'h', help: 'Explain the command.' },
};

export const outputOption = (formats: readonly OutputFormat[]): OptionSpecs =>
  formats.length === 0
    ? {}
    : { output: { type: 'string', short: 'o', value: formats.join('|'), help: 'Another form of output.' } };

/** @throws CliError Usage */
export const formatFrom = (args: Arguments, { name, formats }: Command): OutputFormat | undefined => {
  const text = args.text('output');
  if (text === undefined) return undefined;
  const known = formats.find((format) => format === text);
  if (known) return known;
  const guess = nearest(text, formats);
  const elsewhere = outputFormats.some((format) => format === text);
  throw usageError(
    `-o ${text} is ${elsewhere ? 'no format of' : 'unknown to'} "${name}".`,
    guess === undefined
      ? `It takes ${formats.join(', ')}.`
      : `Did you mean ${guess}? It takes ${formats.join(', ')}.`,
  );
};
