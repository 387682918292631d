import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseStat, startTimeOf, stopProcess } from './pids.ts';
import { waitFor } from './wait.ts';

/** Its main thread ends, and another one goes on. */
const program = `import ctypes, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
ctypes.CDLL(None).pthread_exit(None)`;

test.runIf(process.platform === 'linux')(
  'a process whose main thread is a zombie runs for as long as another thread of it does',
  async () => {
    const child = spawn('python3', ['-c', program], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    const { pid = 0 } = child;
    const state = (): string | undefined => parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.state;
    await waitFor('the main thread to end', () => state() === 'Z');
    const startTime = startTimeOf(pid);
    expect(startTime).toBeDefined();
    await stopProcess({ pid, startTime: startTime ?? '' }, 'SIGKILL');
    await ended;
    expect(startTimeOf(pid)).toBeUndefined();
  },
);
