import { credentialStoreKind } from './credential-store.ts';
import type { KindDefinition } from './kind.ts';
import { loginKind } from './login.ts';
import { runDecisionKind } from './run-decision.ts';
import { runnerKind } from './runner.ts';
import { targetKind } from './target.ts';
import { workflowRunKind } from './workflow-run.ts';
import { workflowKind } from './workflow.ts';

/** Every kind of the group, as manifests and reference list them. */
export const kinds: readonly KindDefinition[] = [
  workflowKind,
  workflowRunKind,
  runDecisionKind,
  runnerKind,
  targetKind,
  credentialStoreKind,
  loginKind,
];
