import type { Step, StepTarget, Target } from '@outrider/kinds';
import type { Connection } from '@outrider/protocol';

/** Where one task acts, before anybody has connected to it. */
export interface Place {
  readonly name: string;
  readonly connection: Connection;
  readonly credential: string | undefined;
  readonly tags: readonly string[];
  /** Set when the Target limits how many attempts act on it at a time. */
  readonly lock?: { readonly key: string; readonly max: number };
}

/** Without the properties that are undefined. */
export const defined = <T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };

const placeOfTarget = (target: Target): Place => {
  const { type: _, credential, runner, maxParallel: max, ...reach } = target.spec;
  const { name, namespace } = target.metadata;
  return {
    name,
    connection: defined({ name, ...reach }),
    credential,
    tags: runner?.tags ?? [],
    ...(max === undefined ? {} : { lock: { key: `target/${namespace}/${name}`, max } }),
  };
};

/** A Target with that host and port lends an inline target its host key. */
const withHost = (inline: StepTarget, targets: readonly Target[]): StepTarget => {
  if (inline.host === undefined || inline.hostKey !== undefined) return inline;
  const port = inline.port ?? 22;
  const same = targets.find(
    ({ spec }) => spec.type === 'SSH' && spec.host === inline.host && (spec.port ?? 22) === port,
  );
  return defined({ ...inline, hostKey: same?.spec.hostKey });
};

/** Written out in the step. A kubectl context that is the name of a Target means that Target; what the step says comes first. */
const placeOfInline = (step: Step, targets: readonly Target[]): Place => {
  const inline = withHost(step.target ?? {}, targets);
  const { context, name: _, credential, ...rest } = inline;
  const named =
    context === undefined
      ? undefined
      : targets.find(({ metadata, spec }) => spec.type === 'Kubernetes' && metadata.name === context);
  if (!named) return { name: '', connection: defined({ ...rest, context }), credential, tags: [] };
  const place = placeOfTarget(named);
  return {
    ...place,
    name: '',
    connection: { ...place.connection, ...rest },
    credential: credential ?? place.credential,
  };
};

const labelsMatch = (target: Target, wanted: Readonly<Record<string, string>>): boolean =>
  Object.entries(wanted).every(([key, value]) => target.metadata.labels?.[key] === value);

const selectTargets = (step: Step, targets: readonly Target[]): Place[] | string => {
  const { names, matchLabels } = step.targets ?? {};
  const missing = (names ?? []).filter((name) => !targets.some((target) => target.metadata.name === name));
  if (missing.length > 0) return missing.join(', ');
  return targets
    .filter(
      (target) =>
        (names ? names.includes(target.metadata.name) : true) && labelsMatch(target, matchLabels ?? {}),
    )
    .sort((a, b) => a.metadata.name.localeCompare(b.metadata.name))
    .map(placeOfTarget);
};

/** Where a step acts; a string names Targets that do not exist. */
export const placesOf = (step: Step, targets: readonly Target[]): Place[] | string => {
  if (step.targets) return selectTargets(step, targets);
  const name = step.target?.name;
  if (name === undefined) return [placeOfInline(step, targets)];
  const target = targets.find(({ metadata }) => metadata.name === name);
  return target ? [{ ...placeOfTarget(target), name: '' }] : name;
};
