/**
 * How long to wait before trying again. Pure: randomness comes in as an argument.
 *
 * Jitter at the start (everybody lost the same node in the same moment) and at the cap (or clients
 * march in step for ever): first rand(0..1 s), then rand(1/4..1) of min(15 s, 1 s * 2^n) for n from
 * 2 on.
 */

/**
 * @typedef {{ first: number, base: number, cap: number, min: number }} BackoffOptions ms; `min` is
 *   the least share of a wait
 */

/** @type {BackoffOptions} */
export const BACKOFF = { first: 1000, base: 1000, cap: 15_000, min: 0.25 };

/** Two to this power is beyond any cap; without a bound it would end at Infinity. */
const POWER_MAX = 30;

/**
 * @param {number} attempt 1 is the first wait after a loss
 * @param {() => number} random 0 <= random() < 1
 * @param {BackoffOptions} [options]
 * @returns {number} ms
 */
export function backoff(attempt, random, { first, base, cap, min } = BACKOFF) {
  if (attempt <= 1) return random() * first;
  const limit = Math.min(cap, base * 2 ** Math.min(attempt, POWER_MAX));
  return limit * (min + (1 - min) * random());
}
