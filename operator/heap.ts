import { setFlagsFromString } from 'node:v8';

/**
 * V8 lets garbage grow to several times of what lives before it looks at all of it. What a held poll was made of lives long
 * enough to count as old, so with 10,000 runners that was 450 MB; less than a fifth of it costs no processor time that could be measured.
 */
const growthPercent = 20;

/** Makes the heap of this process stay close to what is in use. */
export const keepHeapSmall = (): void => setFlagsFromString(`--heap-growing-percent=${growthPercent}`);
