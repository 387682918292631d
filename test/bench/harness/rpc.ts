import { toProblem, type Problem } from '@outrider/protocol';

/** From the bench to one of its programs, and back. */
export interface Request {
  readonly id: number;
  readonly name: string;
  readonly argument: unknown;
}
export type Reply =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly problem: Problem };

/** Every call takes one argument that survives a structured clone; so does its result. */
export type Handlers = Readonly<Record<string, (argument: never) => unknown>>;

/** Answers calls of the parent process, and ends when that is gone. */
export const serveParent = (handlers: Handlers): void => {
  const answer = async ({ id, name, argument }: Request): Promise<Reply> => {
    try {
      const handler = handlers[name] as ((argument: unknown) => unknown) | undefined;
      if (handler === undefined) throw new Error(`this program has no call ${name}`);
      return { id, ok: true, value: await handler(argument) };
    } catch (error) {
      console.error(error);
      return { id, ok: false, problem: toProblem(error) };
    }
  };
  process.on('message', (request: Request) => {
    void answer(request).then((reply) => process.send?.(reply));
  });
  process.on('disconnect', () => process.exit(0));
};
