/** A run as a command names it. */
interface RunRef {
  readonly namespace: string;
  readonly name: string;
}

interface AttemptRef {
  readonly step: string;
  /** Empty where the step has one only. */
  readonly target: string;
  readonly epoch: number;
}

/** The words, after the program's name, that decide on an attempt whose end is not known. */
export const decideWords = (
  run: RunRef,
  { step, target, epoch }: AttemptRef,
  decision: 'succeeded' | 'release',
): string =>
  `decide ${run.name} ${step}${target === '' ? '' : ` --target ${target}`} -n ${run.namespace} --attempt ${epoch} --${decision} --reason "…"`;
