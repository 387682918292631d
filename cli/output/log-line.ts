import type { LineView } from '@outrider/portal';
import type { Style } from './style.ts';
import { printableLine } from './printable.ts';

export interface LogLineOptions {
  readonly style: Style;
  readonly timestamps: boolean;
  /** True on a terminal: what would move its cursor is taken out of foreign text. */
  readonly clean: boolean;
}

interface Labelled {
  readonly step: string;
  readonly target: string;
  readonly probeOf?: string;
}

/** `step`, `step/target` where a step has several, and `step (verify)` for what finds out about a lost attempt. */
export const labelOf = ({ step, target, probeOf }: Labelled): string =>
  `${step}${target === '' ? '' : `/${target}`}${probeOf === undefined ? '' : ' (verify)'}`;

/** Marks of the four kinds of lines: output, error output, note of the product, left out. */
const marks = { stdout: '|', stderr: '!', system: '*', gap: '~' } as const;

const paintMark = (style: Style, stream: LineView['stream']): string => {
  const mark = marks[stream];
  if (stream === 'stderr') return style.red(mark);
  if (stream === 'gap') return style.yellow(mark);
  return stream === 'system' ? style.dim(mark) : mark;
};

/** One line of log as the terminal shows it, with its line end. */
export const renderLogLine = (line: LineView, options: LogLineOptions): string => {
  const { style, timestamps, clean } = options;
  const text = clean ? printableLine(line.text) : line.text;
  const aside = line.stream === 'system' || line.stream === 'gap';
  const time = timestamps ? `${style.dim(line.at)} ` : '';
  // The number of an attempt matters once there was another before it.
  const attempt = line.epoch > 1 ? `#${line.epoch}` : '';
  const label = style.label(line.step)(`${labelOf(line)}${attempt}`);
  return `${time}${label} ${paintMark(style, line.stream)} ${aside ? style.dim(text) : text}\n`;
};
