/**
 * The event stream of the WHATWG HTML standard, section 9.2.6, from text that comes in any pieces.
 * Sans-I/O. Fields that the standard ignores are ignored.
 */

/** @typedef {{ event: string, data: string }} StreamEvent */

export class SseParser {
  #rest = '';
  #isFirst = true;
  #event = '';
  /** @type {string[]} */
  #data = [];
  /** @type {(event: StreamEvent) => void} */
  #onEvent;
  /** @type {(ms: number) => void} */
  #onRetry;

  /** @param {(event: StreamEvent) => void} onEvent @param {(ms: number) => void} onRetry */
  constructor(onEvent, onRetry) {
    this.#onEvent = onEvent;
    this.#onRetry = onRetry;
  }

  /** @param {string} text */
  feed(text) {
    if (this.#isFirst && text !== '') {
      this.#isFirst = false;
      if (text.startsWith('\ufeff')) text = text.slice(1);
    }
    // A CR at the very end may be half of a CRLF: it stays until more comes.
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = /** @type {string} */ (lines.pop());
    for (const line of lines) this.#line(line);
  }

  /** @param {string} line */
  #line(line) {
    if (line === '') return this.#dispatch();
    const [, field, value] = /** @type {RegExpExecArray} */ (/^([^:]*)(?:: ?)?(.*)$/s.exec(line));
    if (field === 'data') this.#data.push(value);
    else if (field === 'event') this.#event = value;
    else if (field === 'retry' && /^\d+$/.test(value)) this.#onRetry(Number(value));
  }

  #dispatch() {
    const event = { event: this.#event || 'message', data: this.#data.join('\n') };
    const isEmpty = this.#data.length === 0;
    this.#event = '';
    this.#data = [];
    if (!isEmpty) this.#onEvent(event);
  }
}
