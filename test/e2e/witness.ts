import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitFor } from '../servers/wait.ts';

/** What a script did on its target, told by files there and not by the product. */
export interface Witness {
  /**
   * Shell lines that add one to the count of executions, print `begun`, and wait for the gate to open or for the test's
   * folder to vanish; then they print `ended`.
   */
  readonly script: string;
  /** How often the script was executed. */
  executions(): number;
  /** How often it came to its end. */
  ends(): number;
  /** Waits until it has been executed. */
  begun(): Promise<void>;
  /** Lets every execution end. */
  open(): void;
}

const linesOf = (file: string): number =>
  existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0;

/** @param folder A folder that exists, on the machine of the target. */
export const createWitness = (folder: string, name: string): Witness => {
  const file = (part: string): string => join(folder, `${name}.${part}`);
  const [begun, ended, gate] = [file('begun'), file('ended'), file('gate')];
  const executions = (): number => linesOf(begun);
  return {
    script: `echo "$$" >>'${begun}'
echo begun
while [ -d '${folder}' ] && [ ! -e '${gate}' ]; do sleep 0.1; done
echo ended
echo "$$" >>'${ended}'
`,
    executions,
    ends: () => linesOf(ended),
    begun: async () => {
      await waitFor(`${name} to be executed`, () => executions() > 0);
    },
    open: () => writeFileSync(gate, ''),
  };
};
