/**
 * One seeded source of chance (mulberry32), so that a run can be had again: same seed, same choices
 * in the same order. What the machine does with them in time is its own affair.
 */

/** @param {number} seed 32 bits */
export function createRandom(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (count) => Math.floor(next() * count);
  return {
    next,
    below,
    between: (low, high) => low + next() * (high - low),
    chance: (probability) => next() < probability,
    pick: (items) => items[below(items.length)],
    /** `count` different items, in an order of chance. */
    sample(items, count) {
      const left = [...items];
      return Array.from({ length: Math.min(count, left.length) }, () =>
        left.splice(below(left.length), 1).at(0),
      );
    },
    /** A source of its own: what one part draws does not shift what another one gets. */
    fork: () => createRandom(Math.floor(next() * 4_294_967_296)),
  };
}
