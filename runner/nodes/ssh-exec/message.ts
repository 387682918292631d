import { quote } from './remote-shell.ts';

export interface RemoteTask {
  readonly script: string;
  readonly env: Readonly<Record<string, string>>;
  readonly interpreter: readonly string[];
  readonly workdir?: string;
}

/**
 * The one message that a target gets without a supervisor: `outrider1 MARK SETTINGS SCRIPT\n`, where the last two are byte
 * counts, then the settings as assignments that a POSIX shell evaluates, then the script as it is.
 */
export function encodeMessage(mark: string, task: RemoteTask): Buffer {
  const settings = settingsOf(task, 'echo "$2 workdir"');
  const script = Buffer.from(task.script);
  const head = `outrider1 ${mark} ${settings.length} ${script.length}\n`;
  return Buffer.concat([Buffer.from(head), settings, script]);
}

export interface SpoolRequest {
  /** Begins each line that is not output; nobody else knows it. */
  readonly mark: string;
  /** Names the spool: the same for all attempts at a task. */
  readonly key: string;
  readonly epoch: number;
  /** False: the spool is to be on a disk. */
  readonly memory: boolean;
}

/** A longer script is received faster by a process: a shell reads byte by byte. */
const TYPED_BYTES = 2048;

/** What any shell reads line by line and writes again without a change. */
const isTyped = (script: string): boolean => script.length <= TYPED_BYTES && /^[\t\n -~]*\n$/.test(script);

const countLines = (text: string): number => text.split('\n').length - 1;

/**
 * The message that starts a detached attempt: `outrider2 MARK KEY EPOCH MEMORY LINES LINES BYTES\n`, the lines of the
 * settings, and the script, of which either the lines are counted or the bytes.
 */
export function encodeStart(request: SpoolRequest, task: RemoteTask): Buffer {
  const { mark, key, epoch, memory } = request;
  const settings = settingsOf(task, 'echo workdir >"$1/ready"');
  const script = Buffer.from(task.script);
  const counts = isTyped(task.script) ? [countLines(task.script), 0] : [0, script.length];
  const lengths = [countLines(settings.toString('latin1')), ...counts].join(' ');
  const head = `outrider2 ${mark} ${key} ${epoch} ${memory ? 1 : 0} ${lengths}\n`;
  return Buffer.concat([Buffer.from(head), settings, script]);
}

/** `complain` is what the leader does when it cannot enter the working folder. */
const settingsOf = (task: RemoteTask, complain: string): Buffer =>
  Buffer.from(
    [
      ...Object.entries(task.env).map(([name, value]) => `export ${name}=${quote(value)}`),
      ...(task.workdir === undefined
        ? []
        : [`cd -- ${quote(task.workdir)} 2>/dev/null || { ${complain}; exit 125; }`]),
      `set -- "$@" ${task.interpreter.map(quote).join(' ')} "$1/script"`,
      '',
    ].join('\n'),
  );

/** Who leads the attempt's session on the target. */
export interface RemoteLeader {
  readonly pid: number;
  readonly startTime: string;
  readonly bootId: string;
  readonly folder: string;
}

export type Announcement = RemoteLeader | 'interpreter' | 'workdir';

/**
 * Finds the first line that begins with the mark; undefined while it is not complete. Whatever the login shell printed
 * before it belongs to nobody. `rest` is what follows the line.
 */
export function findLine(mark: string, bytes: Buffer): { words: string[]; rest: Buffer } | undefined {
  const start = bytes.indexOf(`${mark} `);
  const end = start < 0 ? -1 : bytes.indexOf(0x0a, start);
  if (end < 0) return undefined;
  const [, ...words] = bytes.toString('utf8', start, end).split(' ');
  return { words, rest: bytes.subarray(end + 1) };
}

/** `PID START BOOT FOLDER`, where the folder may hold blanks. */
export const parseLeader = ([pid, startTime, bootId, ...folder]: string[]): RemoteLeader => ({
  pid: Number(pid),
  startTime: startTime ?? '-',
  bootId: bootId ?? '-',
  folder: folder.join(' '),
});

/** What the leader says of itself, or why it cannot start. */
export function findAnnouncement(
  mark: string,
  bytes: Buffer,
): { said: Announcement; rest: Buffer } | undefined {
  const found = findLine(mark, bytes);
  if (found === undefined) return undefined;
  const [word, ...leader] = found.words;
  const said = word === 'interpreter' || word === 'workdir' ? word : parseLeader(leader);
  return { said, rest: found.rest };
}
