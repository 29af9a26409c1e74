/**
 * What happened, as JSON lines: one event a line, in the order of their times. `t` is milliseconds
 * of the machine's monotonic clock (CLOCK_MONOTONIC), so lines of several processes of one machine
 * may be compared. The README of this folder has the schema.
 *
 * Lines are gathered and written in large pieces: 4,000 a second must not cost 4,000 writes.
 */
import { closeSync, createReadStream, openSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

const PIECE_CHARS = 1 << 18;

export const now = () => Number(process.hrtime.bigint() / 1000n) / 1000;

export class History {
  #fd;
  #piece = '';

  /** @param {string} file */
  constructor(file) {
    this.file = file;
    this.lines = 0;
    this.isClosed = false;
    this.#fd = openSync(file, 'w');
  }

  /**
   * @param {string} e what happened
   * @param {Record<string, unknown>} [details] those that are undefined are left out
   */
  write(e, details) {
    if (this.isClosed) return;
    this.lines += 1;
    this.#piece += `${JSON.stringify({ t: now(), e, ...details })}\n`;
    if (this.#piece.length >= PIECE_CHARS) this.flush();
  }

  flush() {
    writeSync(this.#fd, this.#piece);
    this.#piece = '';
  }

  /** What comes later is not part of it. */
  close() {
    if (this.isClosed) return;
    this.flush();
    this.isClosed = true;
    closeSync(this.#fd);
  }
}

/** @param {string} file  @param {(event: any) => void} onEvent */
export async function readHistory(file, onEvent) {
  for await (const line of createInterface({ input: createReadStream(file) })) {
    onEvent(JSON.parse(line));
  }
}
