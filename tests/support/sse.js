/**
 * The event stream parser of the WHATWG HTML standard, section 9.2.6, to the letter, and stricter
 * in one thing: a field that the standard would ignore is an error, because a server that sends one
 * is broken.
 */
export class EventStreamParser {
  /**
   * @param {(event: { event: string, data: string, id: string | undefined,
   *   lastEventId: string }) => void} onEvent `id` only when this block had such a line
   */
  constructor(onEvent) {
    this.onEvent = onEvent;
    this.decoder = new TextDecoder('utf-8', { fatal: true });
    this.rest = '';
    this.lastEventId = '';
    this.retry = undefined;
    this.comments = [];
    this.onComment = (_text) => {};
    this.#clear();
  }

  #clear() {
    this.data = [];
    this.event = '';
    this.id = undefined;
  }

  /** @param {Buffer} bytes */
  feed(bytes) {
    this.rest += this.decoder.decode(bytes, { stream: true });
    for (;;) {
      const end = /\r\n|\n|\r/.exec(this.rest);
      // A CR at the very end may be half of a CRLF.
      if (!end || (end[0] === '\r' && end.index === this.rest.length - 1)) return;
      const line = this.rest.slice(0, end.index);
      this.rest = this.rest.slice(end.index + end[0].length);
      this.#line(line);
    }
  }

  #line(line) {
    if (line === '') return this.#dispatch();
    if (line.startsWith(':')) {
      this.comments.push(line.slice(1));
      this.onComment(line.slice(1));
      return;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? '' : line.slice(colon + 1);
    if (value.startsWith(' ')) value = value.slice(1);
    this.#field(field, value);
  }

  #field(field, value) {
    if (field === 'data') {
      this.data.push(value);
    } else if (field === 'event') {
      this.event = value;
    } else if (field === 'id') {
      if (value.includes('\0')) throw new Error('NUL in an id');
      this.id = value;
      this.lastEventId = value;
    } else if (field === 'retry') {
      if (!/^\d+$/.test(value)) throw new Error(`retry: ${value}`);
      this.retry = Number(value);
    } else {
      throw new Error(`unknown field in the event stream: ${JSON.stringify(field)}`);
    }
  }

  #dispatch() {
    const { id, event, data } = this;
    this.#clear();
    if (data.length === 0) return;
    this.onEvent({
      id,
      event: event || 'message',
      data: data.join('\n'),
      lastEventId: this.lastEventId,
    });
  }
}
