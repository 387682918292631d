import type { Problem } from '@outrider/protocol';

export type LogFields = Readonly<Record<string, string | number | boolean>>;

/** The runner's own log. No field and no message ever holds a secret or a token. */
export interface Logger {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export type LogFormat = 'text' | 'json';

const quote = (value: string | number | boolean): string =>
  typeof value === 'string' && /[\s"=]/.test(value) ? JSON.stringify(value) : String(value);

/** One line each: `2026-01-02T03:04:05.678Z INFO connected namespace=prod`, or the same as a JSON object. */
export const createLogger = (options: {
  format: LogFormat;
  write: (line: string) => void;
  now?: () => Date;
}): Logger => {
  const { format, write, now = () => new Date() } = options;
  const line =
    (level: 'info' | 'warn' | 'error') =>
    (message: string, fields: LogFields = {}): void => {
      const time = now().toISOString();
      if (format === 'json') return write(`${JSON.stringify({ time, level, message, ...fields })}\n`);
      const tail = Object.entries(fields).map(([key, value]) => ` ${key}=${quote(value)}`);
      write(`${time} ${level.toUpperCase()} ${message}${tail.join('')}\n`);
    };
  return { info: line('info'), warn: line('warn'), error: line('error') };
};

/** A problem as fields of a log line. */
export const problemFields = (problem: Problem): LogFields => ({
  code: problem.code,
  reason: problem.message,
  action: problem.action,
});
