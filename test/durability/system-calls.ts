/** A system call as strace saw it. Positions count the lines of the trace: they order all threads of a process. */
export interface SystemCall {
  readonly pid: number;
  readonly name: string;
  /** Text between the parentheses. */
  readonly args: string;
  readonly result: number;
  /** When it was entered. */
  readonly begun: number;
  /** When it returned; what it did is certain from then on only. */
  readonly ended: number;
}

/** Calls that change files, carry bytes over connections, or start programs. */
export const tracedCalls = [
  'openat,write,writev,pwrite64,pwritev,sendto,sendmsg,read,readv,recvfrom,recvmsg',
  'ftruncate,fallocate,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat',
  'mkdir,mkdirat,rmdir,execve',
].join(',');

/** Arguments of strace: whole data in hexadecimal, descriptors with their paths and addresses, every thread. */
export const straceArguments = (file: string): string[] =>
  `-f -I 2 -ttt -yy -xx -s 16777216 -e signal=none -e trace=${tracedCalls} -o`.split(' ').concat(file);

const linePattern = /^(\d+) +\d+\.\d+ (?:<\.\.\. \w+ resumed>)?(.*)$/s;
const callPattern = /^(\w+)\((.*)\) += (-?\d+)/s;
const unfinishedMark = ' <unfinished ...>';

/** Reads a trace in the order in which calls returned. Calls that never returned are left out, as are failed ones. */
export function* readTrace(text: string): Generator<SystemCall> {
  const open = new Map<number, { readonly text: string; readonly begun: number }>();
  for (const [position, line] of text.split('\n').entries()) {
    const parts = linePattern.exec(line);
    if (parts === null) continue;
    const [pid, rest] = [Number(parts[1]), String(parts[2])];
    const before = open.get(pid) ?? { text: '', begun: position };
    if (rest.endsWith(unfinishedMark)) {
      open.set(pid, { text: rest.slice(0, -unfinishedMark.length), begun: position });
      continue;
    }
    open.delete(pid);
    const call = callPattern.exec(before.text + rest);
    if (call === null || Number(call[3]) < 0) continue;
    const [, name, args] = call.map(String) as [string, string, string];
    yield { pid, name, args, result: Number(call[3]), begun: before.begun, ended: position };
  }
}

const unescape = (hex: string): Buffer => Buffer.from(hex.replaceAll('\\x', ''), 'hex');

/** The quoted strings among the arguments, in their order. */
export const strings = ({ args }: SystemCall): Buffer[] =>
  Array.from(args.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g), ([, hex = '']) => unescape(hex));

/** Number and name of the descriptor that is the first argument; the name is a path or an address. */
export const descriptor = (text: string): { readonly fd: number; readonly name: string } | undefined => {
  const [, fd, name] = /^(\d+)<(.*?)>(?:, |$|\))/.exec(text) ?? [];
  if (fd === undefined || name === undefined) return undefined;
  return { fd: Number(fd), name: name.startsWith('\\x') ? unescape(name).toString() : name };
};

/** The bytes that a call carried. */
export const carried = (call: SystemCall): Buffer => Buffer.concat(strings(call)).subarray(0, call.result);

/** The last number among the arguments: the offset of pwrite64, the length of ftruncate. */
export const lastNumber = ({ args }: SystemCall): number => Number(/(\d+)$/.exec(args)?.[1]);
