import { connect, type SecureContext, type TLSSocket } from 'node:tls';

export interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** Reads one HTTP/1.1 answer at a time: with a length, or in chunks. */
class AnswerReader {
  #text = '';
  #head = '';
  #body = '';
  #chunked = false;
  #length = 0;

  /** The answer once it is whole. */
  push(text: string): Answer | undefined {
    this.#text += text;
    if (this.#head === '' && !this.#takeHead()) return undefined;
    if (this.#chunked ? !this.#takeChunks() : !this.#takeLength()) return undefined;
    const answer = { status: Number(this.#head.slice(9, 12)), head: this.#head, body: this.#body };
    this.#head = '';
    this.#body = '';
    return answer;
  }

  #takeHead(): boolean {
    const end = this.#text.indexOf('\r\n\r\n');
    if (end < 0) return false;
    this.#head = this.#text.slice(0, end + 2);
    this.#text = this.#text.slice(end + 4);
    this.#chunked = /\r\ntransfer-encoding: chunked\r\n/i.test(this.#head);
    this.#length = Number(/\r\ncontent-length: (\d+)\r\n/i.exec(this.#head)?.[1] ?? 0);
    return true;
  }

  #takeLength(): boolean {
    if (this.#text.length < this.#length) return false;
    this.#body = this.#text.slice(0, this.#length);
    this.#text = this.#text.slice(this.#length);
    return true;
  }

  #takeChunks(): boolean {
    for (;;) {
      const end = this.#text.indexOf('\r\n');
      if (end < 0) return false;
      const size = Number.parseInt(this.#text.slice(0, end), 16);
      if (this.#text.length < end + 4 + size) return false;
      this.#body += this.#text.slice(end + 2, end + 2 + size);
      this.#text = this.#text.slice(end + 4 + size);
      if (size === 0) return true;
    }
  }
}

export interface LaneOptions {
  readonly port: number;
  readonly context: SecureContext;
}

/** One kept connection with one request at a time, as a runner's lane; opened when it is first needed. */
export class Lane {
  readonly #options: LaneOptions;
  #reader = new AnswerReader();
  #socket: TLSSocket | undefined;
  #ticket: Buffer | undefined;
  #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** Waits for the answers to earlier requests. */
  send(bytes: string | readonly Uint8Array[]): Promise<Answer> {
    const answer = this.#turn.then(() => this.#exchange(bytes));
    this.#turn = answer.catch(() => undefined);
    return answer;
  }

  /** Cuts the connection; a request that waits fails. */
  cut(): void {
    this.#socket?.destroy();
  }

  async #exchange(bytes: string | readonly Uint8Array[]): Promise<Answer> {
    const socket = this.#socket ?? (await this.#open());
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      if (typeof bytes === 'string') {
        socket.write(bytes, 'latin1');
        return;
      }
      socket.cork();
      for (const each of bytes) socket.write(each);
      socket.uncork();
    });
  }

  #open(): Promise<TLSSocket> {
    const { port, context } = this.#options;
    return new Promise((resolve, reject) => {
      const session = this.#ticket === undefined ? {} : { session: this.#ticket };
      const socket = connect({
        host: '127.0.0.1',
        port,
        servername: 'localhost',
        secureContext: context,
        ...session,
      });
      socket.setNoDelay(true);
      socket.setEncoding('latin1');
      socket.on('session', (ticket: Buffer) => {
        this.#ticket = ticket;
      });
      socket.once('secureConnect', () => {
        this.#socket = socket;
        resolve(socket);
      });
      socket.on('data', (text: string) => this.#receive(text));
      socket.on('error', (error) => this.#lost(error, reject));
      socket.once('close', () => this.#lost(new Error('the connection was closed'), reject));
    });
  }

  #receive(text: string): void {
    const answer = this.#reader.push(text);
    if (answer === undefined) return;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(answer);
  }

  #lost(error: Error, unopened: (error: Error) => void): void {
    unopened(error);
    this.#socket = undefined;
    this.#reader = new AnswerReader();
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(error);
  }
}
