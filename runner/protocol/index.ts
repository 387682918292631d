export * from './errors.ts';
export * from './frames.ts';
export * from './host-keys.ts';
export * from './log-batch.ts';
export * from './messages.ts';
export * from './recovery.ts';
export * from './registration-token.ts';
export * from './task.ts';
