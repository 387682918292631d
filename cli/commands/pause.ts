import { stateCommand } from './desired-state.ts';

export const pause = stateCommand(
  {
    name: 'pause',
    summary: 'Pause runs: let what executes end, start nothing more',
    description:
      'No further step of the runs begins until they are resumed; a step that executes goes on to its end. Prints the names of the runs.',
    examples: [{ what: 'One run', words: 'pause patch-4fh2d' }],
  },
  {
    to: 'Paused',
    note: ({ program }, name, ref) =>
      `Run ${name} begins no further step. To let it go on: ${program} resume ${ref}`,
  },
);

export const resume = stateCommand(
  {
    name: 'resume',
    summary: 'Let paused runs go on',
    description: 'Undoes `pause`; a run that is not paused stays as it is. Prints the names of the runs.',
    examples: [{ what: 'One run', words: 'resume patch-4fh2d' }],
  },
  {
    to: 'Running',
    note: ({ program }, name, ref) => `Run ${name} goes on. To see it: ${program} logs ${ref} -f`,
  },
);
