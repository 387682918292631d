import type { StepSummary, WorkflowRun } from '@outrider/kinds';
import { must } from '../servers/command.ts';

/** The condition that says where a run stands and why. */
export const completedOf = (run: WorkflowRun): { status: string; reason: string; message: string } => {
  const found = run.status?.conditions?.find(({ type }) => type === 'Completed');
  if (!found) throw new Error(`run ${run.metadata.name} has no condition Completed`);
  return found;
};

export const reasonOf = (run: WorkflowRun): string | undefined =>
  run.status?.conditions?.find(({ type }) => type === 'Completed')?.reason;

export const stepOf = (run: WorkflowRun, name: string): StepSummary => {
  const found = run.status?.steps?.find((step) => step.name === name);
  if (!found) throw new Error(`run ${run.metadata.name} lists no step ${name}`);
  return found;
};

/** How many processes of this machine have the text in their command line. */
export const processesWith = async (text: string): Promise<number> =>
  (await must('ps', ['-eo', 'args'])).split('\n').filter((line) => line.includes(text)).length;
