type Paint = (text: string) => string;

export interface Style {
  readonly dim: Paint;
  readonly bold: Paint;
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
  /** A colour of the palette for a label, the same one each time within this process. */
  readonly label: (name: string) => Paint;
}

const sgr =
  (open: number, close: number): Paint =>
  (text) =>
    text === '' ? '' : `\u001b[${open}m${text}\u001b[${close}m`;

/** cyan, magenta, blue, green, yellow and their bright kin; red is kept for stderr. */
const palette = [36, 35, 34, 32, 33, 96, 95, 94, 92, 93];

const plainPaint: Paint = (text) => text;
export const plain: Style = {
  dim: plainPaint,
  bold: plainPaint,
  red: plainPaint,
  green: plainPaint,
  yellow: plainPaint,
  label: () => plainPaint,
};

/** Labels take colours in the order of their first appearance. */
export const createColours = (): Style => {
  const given = new Map<string, Paint>();
  return {
    dim: sgr(2, 22),
    bold: sgr(1, 22),
    red: sgr(31, 39),
    green: sgr(32, 39),
    yellow: sgr(33, 39),
    label: (name) => {
      const known = given.get(name);
      if (known) return known;
      const paint = sgr(palette[given.size % palette.length] ?? 36, 39);
      given.set(name, paint);
      return paint;
    },
  };
};

/** Colour where a person looks: a terminal that can, and NO_COLOR (https://no-color.org) not set. */
export const styleFor = (isTTY: boolean, env: Readonly<Record<string, string | undefined>>): Style =>
  isTTY && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb' ? createColours() : plain;

/** Neither well nor failed: something is to come, or to be done. */
const uneasy = ['Unknown', 'Verifying', 'AwaitingHuman', 'Blocked', 'Paused', 'Degraded', 'Cancelled'];

/** Colour of a phase or state. */
export const paintPhase = (style: Style, phase: string): string => {
  if (['Succeeded', 'Online', 'True', 'Complete'].includes(phase)) return style.green(phase);
  if (['Failed', 'TimedOut', 'Lost', 'Offline', 'Incomplete'].includes(phase)) return style.red(phase);
  if (uneasy.includes(phase)) return style.yellow(phase);
  return phase;
};
