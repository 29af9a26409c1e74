/**
 * One reader of a channel: its cursor, and the rule of continuity applied to all that comes.
 *
 * What the wire brings is checked message by message: the next one is told, a double is dropped, a
 * hole is read. While a read is on its way what comes live is held, and drained after it. A read
 * decides: what it brings is told in any case, and where even it is not continuous a reset says so.
 * The same read lets a second reader of a channel begin where it wants, without a second wire.
 *
 * After a reset `lost` what follows the cursor in its epoch is gone for good: the next writer opens
 * another. Who brings it all the same is a node that has not noticed yet. It is dropped, else it
 * would be told and lost again with each change between nodes, and asked for later, elsewhere.
 */
import { backoff } from './backoff.js';
import { before, covers, isPosition, judge } from './continuity.js';
import { isRefusal } from './http.js';

/**
 * @typedef {{ channel: string, id?: string, time: number, event?: string, fork?: string | null,
 *   data: any, encoding?: string }} Message
 * @typedef {{ channel: string, from: string, to: string, reason: 'lost' | 'expired' | 'foreign',
 *   spread: number }} Reset
 * @typedef {{ cursor: string, messages: Message[], resets?: Reset[], more?: boolean }} Page
 * @typedef {{ since?: string, rewind?: number, min?: string }} Question
 * @typedef {object} Owner
 * @property {(message: Message) => void} onMessage
 * @property {(reset: Reset) => void} onReset
 * @property {(state: 'live' | 'reading' | 'waiting') => void} onState
 * @property {(error: Error) => void} onEnd it was refused for good
 * @property {(question: Question) => Promise<Page>} read
 * @property {() => void} reconnect reads do not help: the wire begins anew, at our cursor
 * @property {() => number} random
 */

/** What is held while a read is on its way; more than this is dropped, and read again. */
const HELD_MAX = 1000;
/** Reads without success in a row, before the wire is asked. */
const READS_MAX = 3;
/** Brought so often, what was lost is no mistake of a node: Redis was given it back. */
const DROPS_MAX = 20;

export class Reader {
  /** A position, `0` (the oldest kept) or empty (the head). */
  cursor;
  #rewind;
  #owner;
  #isReading = false;
  #isEnded = false;
  #isDown = false;
  /** The wire began anew during a read, perhaps beyond what that read saw. */
  #isRejoined = false;
  /** @type {(Message | Reset)[]} */
  #held = [];
  /** Where the epoch that we are in forked from the one before. */
  #fork = '';
  /** Since Redis fell back to our cursor: how often what followed it will still be dropped. */
  #drops = 0;

  /** @param {{ since: string, rewind: number }} start @param {Owner} owner */
  constructor({ since, rewind }, owner) {
    this.cursor = since;
    this.#rewind = rewind;
    this.#owner = owner;
  }

  /** Where the wire should begin, if it begins for this reader. */
  get since() {
    return this.#rewind > 0 ? '' : this.cursor;
  }

  end() {
    this.#isEnded = true;
    this.#held = [];
  }

  /** It cannot be read, for good. @param {Error} error */
  refuse(error) {
    if (this.#isEnded) return;
    this.end();
    this.#owner.onEnd(error);
  }

  /** The wire is down; what we have stays. */
  onDown() {
    this.#isDown = true;
    if (!this.#isReading) this.#owner.onState('waiting');
  }

  /**
   * The wire stands at `position`; it was asked for `asked`, perhaps for another reader.
   * @param {string | undefined} asked @param {string} position
   */
  onJoined(asked, position) {
    this.#isDown = false;
    if (this.#isReading) {
      this.#isRejoined = true;
      return;
    }
    if (this.#rewind > 0 || this.cursor !== asked) {
      this.#fill();
      return;
    }
    if (!isPosition(this.cursor)) this.cursor = position;
    this.#owner.onState('live');
  }

  /** @param {Message} message */
  onMessage(message) {
    if (message.id === undefined) this.#owner.onMessage(message);
    else if (this.#isLost(message.id)) this.#drop();
    else if (this.#isReading) this.#hold(message);
    else if (!this.#take(message)) this.#fill(message);
  }

  /** @param {Reset} reset */
  onReset(reset) {
    if (this.#isLost(reset.to)) this.#drop();
    else if (this.#isReading) this.#hold(reset);
    else if (this.#drops === 0 || reset.to !== this.cursor) this.#reset(reset);
  }

  /** Whether it followed our cursor before Redis fell back to that. @param {string} position */
  #isLost(position) {
    return this.#drops > 0 && position !== this.cursor && covers(position, this.cursor);
  }

  /** The wire is of a node that is behind: it begins anew, later, perhaps at another one. */
  #drop() {
    this.#drops -= 1;
    this.#owner.reconnect();
  }

  /** @param {Message} message @returns {boolean} false: something is missing before it */
  #take(message) {
    const id = /** @type {string} */ (message.id);
    const verdict = isPosition(this.cursor) ? judge(this.cursor, { ...message, id }) : 'hole';
    if (verdict === 'next') {
      if (message.fork === this.cursor) this.#fork = this.cursor;
      this.cursor = id;
      this.#drops = 0;
      this.#owner.onMessage(message);
    }
    return verdict !== 'hole' || covers(this.#fork, id);
  }

  /** @param {Reset} reset */
  #reset(reset) {
    const { from, to, reason } = reset;
    this.cursor = to;
    this.#fork = '';
    this.#drops = reason === 'lost' && covers(from, to) ? DROPS_MAX : 0;
    this.#owner.onReset(reset);
  }

  /** @param {Message | Reset} item */
  #hold(item) {
    if (this.#held.length === HELD_MAX) this.#held = [];
    this.#held.push(item);
  }

  /** Reads from the cursor until nothing is missing. @param {Message} [message] beyond the hole */
  async #fill(message) {
    this.#isReading = true;
    this.#held = message ? [message] : [];
    this.#owner.onState('reading');
    for (let failures = 0; !this.#isEnded;) {
      this.#isRejoined = false;
      if ((await this.#readAll(failures === 0)) && this.#drain()) {
        if (this.#isRejoined) continue;
        break;
      }
      if (this.#isEnded) return;
      failures += 1;
      if (failures === READS_MAX && !this.#isDown) {
        this.#isReading = false;
        this.#held = [];
        this.#owner.reconnect();
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, backoff(failures, this.#owner.random)));
    }
    this.#isReading = false;
    if (!this.#isEnded) this.#owner.onState(this.#isDown ? 'waiting' : 'live');
  }

  /**
   * @param {boolean} isFirst only then the server is told what we know to exist: it may be lost
   * @returns {Promise<boolean>} whether the end was reached
   */
  async #readAll(isFirst) {
    const held = this.#held.find((item) => 'id' in item);
    const min = isFirst && held && 'id' in held ? held.id : undefined;
    try {
      for (;;) {
        const rewind = this.#rewind > 0 ? this.#rewind : undefined;
        const since = rewind ? undefined : this.cursor;
        const page = await this.#owner.read({ since, rewind, min });
        if (this.#isEnded || this.#isBehind(page)) return false;
        this.#page(page);
        if (!page.more || this.cursor === since) return true;
      }
    } catch (/** @type {any} */ error) {
      if (isRefusal(error)) this.refuse(error);
      return false;
    }
  }

  /** @param {Page} page @returns {boolean} whether it is of a node that is behind */
  #isBehind({ messages, resets = [] }) {
    const positions = [...messages.map(({ id }) => id), ...resets.map(({ to }) => to)];
    const isBehind = positions.some((position) => position && this.#isLost(position));
    if (isBehind) this.#drops -= 1;
    return isBehind;
  }

  /** @param {Page} page */
  #page({ cursor, messages, resets = [] }) {
    const untold = [...resets];
    const kept = messages.filter((message) => message.id !== undefined);
    this.#rewind = 0;
    if (!isPosition(this.cursor)) {
      this.cursor = kept.length > 0 ? before(/** @type {string} */ (kept[0].id)) : cursor;
    }
    for (const message of kept) {
      while (!this.#take(message)) {
        const to = before(/** @type {string} */ (message.id));
        const { cursor: from } = this;
        const { channel } = message;
        this.#reset(untold.shift() ?? { channel, from, to, reason: 'expired', spread: 0 });
      }
    }
    for (const reset of untold) this.#reset(reset);
  }

  /** What came during the read. @returns {boolean} false: something is still missing */
  #drain() {
    while (this.#held.length > 0) {
      const [item] = this.#held;
      // What came before the read found a loss out is lost with it.
      const isLost = this.#isLost(/** @type {string} */ ('to' in item ? item.to : item.id));
      if ('to' in item) {
        const isNews = item.from === this.cursor || !covers(this.cursor, item.to);
        if (isNews && !isLost) this.#reset(item);
      } else if (!isLost && !this.#take(item)) {
        return false;
      }
      this.#held.shift();
    }
    return true;
  }
}
