import { stateCommand } from './desired-state.ts';

export const cancel = stateCommand(
  {
    name: 'cancel',
    summary: 'Cancel runs: kill what executes, start nothing more',
    description: 'Final: a cancelled run stays so. Prints the names of the runs that are being cancelled.',
    examples: [
      { what: 'One run', words: 'cancel restart-x7k2p' },
      { what: 'Several', words: 'cancel patch-4fh2d patch-9kq7s -n ops' },
    ],
  },
  {
    to: 'Cancelled',
    note: ({ program }, name, ref) =>
      `Run ${name} is being cancelled: what executes is killed on its target. To see it end: ${program} logs ${ref} -f`,
  },
);
