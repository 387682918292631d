import type { Command } from '../command.ts';
import { cancel } from './cancel.ts';
import { decide } from './decide.ts';
import { describe } from './describe.ts';
import { logs } from './logs.ts';
import { pause, resume } from './pause.ts';
import { recovery, recoveryConfirm } from './recovery.ts';
import { run } from './run.ts';
import { runnerToken } from './runner-token.ts';
import { runners } from './runners.ts';
import { runs } from './runs.ts';
import { version } from './version.ts';

/** Every verb, in the order in which help lists them and words are compared with them. `help` is the program's own. */
export const commands: readonly Command[] = [
  run,
  logs,
  runs,
  describe,
  pause,
  resume,
  cancel,
  decide,
  runners,
  runnerToken,
  recoveryConfirm,
  recovery,
  version,
];
