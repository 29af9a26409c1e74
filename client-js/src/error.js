/** What goes wrong, with a code to act on. */

export class FreshetError extends Error {
  /**
   * @param {string} code the server's, or `network`, `timeout`, `protocol`, `overflow`, `closed`
   * @param {string} message
   * @param {{ status?: number, retry?: boolean, retryAfter?: number, head?: string,
   *   channel?: string, cause?: unknown }} [more]
   */
  constructor(code, message, { status, retry = false, retryAfter, head, channel, cause } = {}) {
    super(message, { cause });
    this.name = 'FreshetError';
    this.code = code;
    /** The HTTP status, where there was one. */
    this.status = status;
    /** Whether the same may work a moment later. */
    this.retry = retry;
    /** ms that the server asks to wait before. */
    this.retryAfter = retryAfter;
    /** Where the channel stands, when `if` did not hold. */
    this.head = head;
    /** Which channel was refused, when the server says so. */
    this.channel = channel;
  }
}
