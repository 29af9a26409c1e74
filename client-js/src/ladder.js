/**
 * Which transports to try, in which order, and what is learnt from how they end. Pure: it is told
 * the time.
 *
 * A transport is demoted when one below it was proven to work while it failed, or when it died
 * young twice. A demoted one is tried again after a while, and sooner when it had worked before:
 * then it was most likely the server that was away, not a firewall that came.
 */

/** A link that lived this long has proven itself. */
export const PROVEN_MS = 10_000;
const STRIKES_MAX = 2;
/** After the first, second... demotion. */
export const REPROBE_MS = [60_000, 300_000, 900_000, 1_800_000];
const REPROBE_PROVEN_MS = 5_000;

export class Ladder {
  #rungs;
  #reprobe;

  /** @param {number} count @param {number[]} [reprobe] ms after each demotion */
  constructor(count, reprobe = REPROBE_MS) {
    this.#reprobe = reprobe;
    this.#rungs = Array.from({ length: count }, () => ({
      strikes: 0,
      demotions: 0,
      wasProven: false,
      /** Not to be tried before. */
      notBefore: 0,
    }));
  }

  /** What to try in a round, best first. @param {number} now @returns {number[]} */
  candidates(now) {
    const all = this.#rungs.map((_, at) => at);
    const due = all.filter((at) => this.#rungs[at].notBefore <= now);
    return due.length > 0 ? due : all;
  }

  /**
   * This one works while those failed.
   * @param {number} at
   * @param {Iterable<number>} failed
   * @param {number} now
   */
  won(at, failed, now) {
    for (const other of failed) if (other < at) this.#demote(other, now);
  }

  /** @param {number} at */
  proven(at) {
    Object.assign(this.#rungs[at], { strikes: 0, demotions: 0, wasProven: true });
  }

  /**
   * It died before it was proven.
   * @param {number} at
   * @param {number} now
   * @returns {boolean} demoted
   */
  diedYoung(at, now) {
    const rung = this.#rungs[at];
    rung.strikes += 1;
    // On trial again after a demotion, one strike is enough.
    const isOut = rung.strikes >= STRIKES_MAX || rung.demotions > 0;
    if (isOut) this.#demote(at, now);
    return isOut;
  }

  /**
   * The best of those above `at` and when to try it again.
   * @param {number} at @returns {{ at: number, time: number } | undefined}
   */
  climb(at) {
    const above = this.#rungs
      .slice(0, at)
      .map((rung, index) => ({ at: index, time: rung.notBefore }));
    return above.sort((a, b) => a.time - b.time)[0];
  }

  /** @param {number} at @param {number} now */
  #demote(at, now) {
    const rung = this.#rungs[at];
    rung.strikes = 0;
    if (rung.wasProven) {
      rung.wasProven = false;
      rung.notBefore = now + REPROBE_PROVEN_MS;
    } else {
      rung.notBefore = now + this.#reprobe[Math.min(rung.demotions, this.#reprobe.length - 1)];
      rung.demotions += 1;
    }
  }
}
