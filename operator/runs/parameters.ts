import type { Parameter } from '@outrider/kinds';

/** `deploy-env` reaches a script as OUTRIDER_PARAM_DEPLOY_ENV. */
export const parameterVariable = (name: string): string =>
  `OUTRIDER_PARAM_${name.toUpperCase().replaceAll('-', '_')}`;

const accepts: Readonly<Record<NonNullable<Parameter['type']>, (value: unknown) => boolean>> = {
  String: (value) => typeof value === 'string',
  Integer: (value) => Number.isSafeInteger(value),
  Number: (value) => typeof value === 'number' && Number.isFinite(value),
  Boolean: (value) => typeof value === 'boolean',
};

const examples: Readonly<Record<NonNullable<Parameter['type']>, string>> = {
  String: 'text',
  Integer: 'a whole number, without quotes',
  Number: 'a number, without quotes',
  Boolean: 'true or false, without quotes',
};

const checkOne = (
  parameter: Parameter,
  given: Readonly<Record<string, unknown>>,
): { value?: string; problem?: string } => {
  const value = given[parameter.name];
  if (value === undefined) {
    if (parameter.value !== undefined) return { value: parameter.value };
    return parameter.required ? { problem: `parameter "${parameter.name}" is required` } : {};
  }
  const type = parameter.type ?? 'String';
  if (!accepts[type](value))
    return {
      problem: `parameter "${parameter.name}" is of type ${type} and needs ${examples[type]}, not ${JSON.stringify(value)}`,
    };
  const text = `${value as string | number | boolean}`;
  if (parameter.options && !parameter.options.includes(text))
    return {
      problem: `parameter "${parameter.name}" must be one of ${parameter.options.join(', ')}, not ${JSON.stringify(value)}`,
    };
  return { value: text };
};

export type ParametersResult =
  | { readonly env: Readonly<Record<string, string>> }
  | { readonly problems: readonly string[] };

/** Types and completes what a run gives, and turns it into the environment that every script of the run sees. */
export const resolveParameters = (
  declared: readonly Parameter[],
  given: Readonly<Record<string, unknown>>,
): ParametersResult => {
  const known = new Set(declared.map((parameter) => parameter.name));
  const problems = Object.keys(given)
    .filter((name) => !known.has(name))
    .map(
      (name) =>
        `the workflow has no parameter "${name}"${known.size > 0 ? ` (it has ${[...known].join(', ')})` : ''}`,
    );
  const env: Record<string, string> = {};
  for (const parameter of declared) {
    const { value, problem } = checkOne(parameter, given);
    if (problem !== undefined) problems.push(problem);
    if (value !== undefined) env[parameterVariable(parameter.name)] = value;
  }
  return problems.length > 0 ? { problems } : { env };
};
