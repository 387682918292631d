export * from './common.ts';
export * from './credential-store.ts';
export * from './login.ts';
export * from './runner.ts';
export * from './target.ts';
export * from './workflow-run.ts';
export * from './workflow.ts';
