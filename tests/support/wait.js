/**
 * Waiting with deadlines. Nothing in these tests sleeps for luck: a test waits for a condition, and
 * a condition that never comes true fails with a sentence that says what was waited for.
 */

/** Machines that build while they test are slow; a deadline is for hangs, not for measuring. */
export const DEADLINE_MS = 15_000;

/** @param {number} ms */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * The promise's value, or an error that names what did not happen.
 * @template T
 * @param {Promise<T>} promise
 * @param {string | (() => string)} what
 * @param {number} [ms]
 * @returns {Promise<T>}
 */
export async function within(promise, what, ms = DEADLINE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    const error = new Error();
    timer = setTimeout(() => {
      error.message = `not within ${ms} ms: ${typeof what === 'function' ? what() : what}`;
      reject(error);
    }, ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Asks until the answer is truthy and returns it. Errors of the probe count as "not yet".
 * @template T
 * @param {string} what
 * @param {() => T | Promise<T>} probe
 * @param {{ deadline?: number, every?: number }} [options]
 * @returns {Promise<T>}
 */
export async function eventually(what, probe, { deadline = DEADLINE_MS, every = 20 } = {}) {
  const end = Date.now() + deadline;
  let last = 'nothing yet';
  for (;;) {
    try {
      const value = await probe();
      if (value) return value;
      last = JSON.stringify(value) ?? 'undefined';
    } catch (error) {
      last = String(error);
    }
    if (Date.now() >= end) {
      throw new Error(`not within ${deadline} ms: ${what} (last answer: ${last})`);
    }
    await pause(every);
  }
}

/** What came, in order, and those who wait for more. `fail` ends it: what came before is kept. */
export class Queue {
  /** @param {string} name */
  constructor(name) {
    this.name = name;
    /** Everything that ever came: for messages about failures, and for "nothing else came". */
    this.seen = [];
    this.items = [];
    this.waiters = [];
    this.error = null;
  }

  push(item) {
    this.seen.push(item);
    this.items.push(item);
    this.#wake();
  }

  fail(error) {
    this.error ??= error;
    this.#wake();
  }

  #wake() {
    for (const wake of this.waiters.splice(0)) wake();
  }

  /** The next item that the predicate likes; those before it are dropped. */
  async waitFor(predicate = () => true, { deadline = DEADLINE_MS, what = 'the next item' } = {}) {
    const end = Date.now() + deadline;
    for (;;) {
      while (this.items.length > 0) {
        const item = this.items.shift();
        if (predicate(item)) return item;
      }
      if (this.error) throw new Error(`${this.name}: ${this.error.message}, waiting for ${what}`);
      const left = end - Date.now();
      if (left <= 0) throw new Error(this.#story(what, deadline));
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.waiters.push(() => {
          clearTimeout(timer);
          resolve(undefined);
        });
      });
    }
  }

  next(options) {
    return this.waitFor(() => true, options);
  }

  /** @param {number} count */
  async take(count, options = {}) {
    const taken = [];
    while (taken.length < count) {
      taken.push(await this.next({ what: `item ${taken.length + 1} of ${count}`, ...options }));
    }
    return taken;
  }

  #story(what, deadline) {
    const tail = this.seen.slice(-3).map((item) => JSON.stringify(item)?.slice(0, 200));
    return (
      `${this.name}: ${what} did not come within ${deadline} ms; ` +
      `${this.seen.length} seen, the last: ${tail.join(' | ') || 'none'}`
    );
  }
}
