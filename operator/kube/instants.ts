/** metav1.Time: RFC 3339 in whole seconds. */
export const kubeTime = (milliseconds: number): string =>
  new Date(milliseconds).toISOString().replace(/\.\d{3}Z$/, 'Z');

/** metav1.MicroTime: RFC 3339 with exactly six decimals. */
export const kubeMicroTime = (milliseconds: number): string =>
  new Date(milliseconds).toISOString().replace(/Z$/, '000Z');
