/* oxlint-disable no-control-regex -- control characters are what this file is about */
const sgrOrControl =
  /\u001b\[[0-9;:]*m|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b\[[0-?]*[ -/]*[@-~]|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
const isSgr = /^\u001b\[[0-9;:]*m$/;

/** Text of a foreign origin without what could move the cursor, set a title or hide a line; tabs and line ends stay. */
export const printable = (text: string): string => text.replace(sgrOrControl, '');

/** The same on one line. */
export const printableWords = (text: string): string => printable(text).replace(/\s+/g, ' ').trim();

/**
 * A line of a foreign process for a terminal: its colours stay and end with the line; of a progress bar that rewrites
 * itself (carriage returns) the last state stays.
 */
export const printableLine = (text: string): string => {
  const rewritten = text.replace(/\r+$/, '');
  const last = rewritten.slice(rewritten.lastIndexOf('\r') + 1);
  let coloured = false;
  const clean = last.replace(sgrOrControl, (found) => {
    if (!isSgr.test(found)) return '';
    coloured = true;
    return found;
  });
  return coloured ? `${clean}\u001b[0m` : clean;
};
