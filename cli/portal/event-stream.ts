/** One server-sent event. */
export interface StreamEvent {
  /** `message` when the stream names none. */
  readonly event: string;
  readonly data: string;
  /** Last id that the stream has given, also by an earlier event; empty before the first. */
  readonly id: string;
}

/**
 * Parses an event stream (WHATWG HTML 9.2.6) from bytes that may be cut anywhere: within a character, a line end or a field.
 * An event that the stream breaks off in is dropped, as the standard has it.
 */
export class EventStreamParser {
  readonly #decoder = new TextDecoder('utf-8');
  #rest = '';
  #afterReturn = false;
  #event = '';
  #data: string[] = [];
  #id = '';

  /** Events that these bytes complete. */
  push(bytes: Uint8Array): StreamEvent[] {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (text === '') return [];
    if (this.#afterReturn && text.startsWith('\n')) text = text.slice(1);
    this.#afterReturn = text === '' ? false : text.endsWith('\r');
    const lines = (this.#rest + text).split(/\r\n|\r|\n/);
    this.#rest = lines.pop() ?? '';
    return lines.flatMap((line) => this.#line(line));
  }

  #line(line: string): StreamEvent[] {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return [];
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.#event = value;
    if (field === 'data') this.#data.push(value);
    if (field === 'id' && !value.includes('\0')) this.#id = value;
    return [];
  }

  #dispatch(): StreamEvent[] {
    const found = this.#data.length > 0;
    const event = { event: this.#event || 'message', data: this.#data.join('\n'), id: this.#id };
    this.#event = '';
    this.#data = [];
    return found ? [event] : [];
  }
}
