import { quote } from './remote-shell.ts';

export interface RemoteTask {
  readonly script: string;
  readonly env: Readonly<Record<string, string>>;
  readonly interpreter: readonly string[];
  readonly workdir?: string;
}

/**
 * The one message that a target gets: `outrider1 MARK SETTINGS SCRIPT\n`, where the last two are byte counts, then the
 * settings as assignments that a POSIX shell evaluates, then the script as it is.
 */
export function encodeMessage(mark: string, task: RemoteTask): Buffer {
  const settings = Buffer.from(
    [
      ...Object.entries(task.env).map(([name, value]) => `export ${name}=${quote(value)}`),
      ...(task.workdir === undefined
        ? []
        : [`cd -- ${quote(task.workdir)} 2>/dev/null || { echo "$2 workdir"; exit 125; }`]),
      `set -- "$@" ${task.interpreter.map(quote).join(' ')} "$1/script"`,
      '',
    ].join('\n'),
  );
  const script = Buffer.from(task.script);
  const head = `outrider1 ${mark} ${settings.length} ${script.length}\n`;
  return Buffer.concat([Buffer.from(head), settings, script]);
}

/** Who leads the attempt's session on the target. */
export interface RemoteLeader {
  readonly pid: number;
  readonly startTime: string;
  readonly bootId: string;
  readonly folder: string;
}

export type Announcement = RemoteLeader | 'interpreter' | 'workdir';

/**
 * Finds the leader's line in what came on stdout so far; undefined while it is not complete. Whatever the login shell
 * printed before it belongs to nobody. `rest` is what follows the line.
 */
export function findAnnouncement(
  mark: string,
  bytes: Buffer,
): { said: Announcement; rest: Buffer } | undefined {
  const start = bytes.indexOf(`${mark} `);
  const end = start < 0 ? -1 : bytes.indexOf(0x0a, start);
  if (end < 0) return undefined;
  const [, word, pid, startTime, bootId, ...folder] = bytes.toString('utf8', start, end).split(' ');
  const rest = bytes.subarray(end + 1);
  if (word === 'interpreter' || word === 'workdir') return { said: word, rest };
  return {
    said: { pid: Number(pid), startTime: startTime ?? '-', bootId: bootId ?? '-', folder: folder.join(' ') },
    rest,
  };
}
