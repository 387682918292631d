import type { Outcome, Report } from '@outrider/protocol';
import type { Decision } from '../records.ts';
import * as operator from './operator-actions.ts';
import * as runners from './runner-actions.ts';
import { openSession, runnerOf, type Copies, type World } from './world.ts';

/** One thing that may happen; `runner`, `task` are indices, and what makes no sense at that moment does nothing. */
export type Action =
  | { kind: 'plan' | 'cancel' | 'pause' | 'resume' | 'copy' | 'putBack' | 'confirm' }
  | {
      kind: 'offer' | 'accept' | 'acceptAsFormer' | 'start' | 'startUnheard' | 'release';
      runner: number;
      task: number;
    }
  | { kind: 'finish' | 'finishUnheard'; runner: number; task: number; outcome: Outcome; exitCode: number }
  | { kind: 'tellAgain' | 'tellOtherwise' | 'tellAsFormer' | 'markUnknown'; runner: number; task: number }
  | { kind: 'tellStale'; runner: number; task: number; epoch: number; report: Report['kind'] }
  /** `crash`: another process of the runner opens the session. */
  | { kind: 'renew' | 'restart' | 'crash' | 'restartWithoutJournal'; runner: number }
  /** The next step of a task's ordinary life, whoever holds it. */
  | { kind: 'advance'; runner: number; task: number; outcome: Outcome; exitCode: number }
  /** A defective runner takes back what it has reported as started. */
  | { kind: 'releaseStarted'; runner: number; task: number }
  /** A person's word about the attempt that is the last one, or one before it. */
  | { kind: 'decide'; task: number; decision: Decision; back: number }
  /** Time goes on; with `swept`, the operator looks for what ran out. */
  | { kind: 'pass'; ms: number; swept: boolean };

/** The action of one kind. */
export type ActionOf<K> = Action extends infer A
  ? A extends { kind: infer Kind }
    ? K extends Kind
      ? A
      : never
    : never
  : never;

type Handler<K> = (world: World, action: ActionOf<K>, copies: Copies) => Promise<void>;
type Handlers = { readonly [K in Action['kind']]: Handler<K> };

const handlers: Handlers = {
  plan: operator.plan,
  cancel: operator.cancel,
  pause: (world) => operator.setPaused(world, true),
  resume: (world) => operator.setPaused(world, false),
  copy: (world, _, copies) => operator.copy(world, copies),
  putBack: (world, _, copies) => operator.putBack(world, copies),
  confirm: operator.confirm,
  decide: operator.decide,
  markUnknown: operator.markUnknown,
  pass: operator.pass,
  offer: operator.offer,
  accept: runners.acceptOffer,
  acceptAsFormer: runners.acceptAsFormer,
  start: runners.start,
  startUnheard: runners.start,
  release: runners.release,
  finish: runners.finish,
  finishUnheard: runners.finish,
  tellAgain: runners.tellResult,
  tellOtherwise: runners.tellResult,
  tellAsFormer: runners.tellResult,
  tellStale: runners.tellStale,
  renew: (world, { runner }) => runners.renew(world, runnerOf(world, runner)),
  restart: (world, { runner }) => openSession(world, runnerOf(world, runner)),
  crash: (world, { runner }) => runners.crash(world, runnerOf(world, runner)),
  restartWithoutJournal: (world, { runner }) => runners.restartWithoutJournal(world, runnerOf(world, runner)),
  releaseStarted: runners.releaseStarted,
  advance: runners.advance,
};

const noCopies: Copies = { copy: () => undefined, putBack: () => false };

export const perform = async (world: World, action: Action, copies = noCopies): Promise<void> => {
  world.told = [];
  const handler = handlers[action.kind] as (world: World, action: Action, copies: Copies) => Promise<void>;
  await handler(world, action, copies);
};
