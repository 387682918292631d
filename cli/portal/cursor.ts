import type { LineView } from '@outrider/portal';

/** Bound of the `after` parameter. */
const maxAfterLength = 8000;

type Place = Pick<LineView, 'task' | 'epoch' | 'line'>;

/** How far a log has been read: the last line of each attempt. */
export class LogCursor {
  /** By `TASK.EPOCH`, least recently read first. */
  readonly #last = new Map<string, number>();

  /** False when the line was there before: it must not be shown again. */
  take({ task, epoch, line }: Place): boolean {
    const key = `${task}.${epoch}`;
    const last = this.#last.get(key);
    if (last !== undefined && line <= last) return false;
    this.#last.delete(key);
    this.#last.set(key, line);
    return true;
  }

  /** Number of the next line of an attempt. */
  next(task: string, epoch: number): number {
    return (this.#last.get(`${task}.${epoch}`) ?? -1) + 1;
  }

  /**
   * The `after` parameter: where the server goes on. With more attempts than it can hold, those read last are named; of the
   * others the server sends lines again, which `take` refuses. Undefined before the first line.
   */
  after(): string | undefined {
    const ids: string[] = [];
    let length = 0;
    for (const [key, line] of [...this.#last].reverse()) {
      const id = `${key}.${line}`;
      length += id.length + 1;
      if (length > maxAfterLength) break;
      ids.push(id);
    }
    return ids.length === 0 ? undefined : ids.join(',');
  }
}
