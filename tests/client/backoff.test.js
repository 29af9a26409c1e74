/** Waiting times: their bounds, their spread, their cap. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BACKOFF, backoff } from '../../client-js/src/backoff.js';

const lowest = () => 0;
const highest = () => 1 - Number.EPSILON;

test('the first wait is spread over a second from zero on', () => {
  assert.equal(backoff(1, lowest), 0);
  assert.ok(backoff(1, highest) > 999 && backoff(1, highest) <= 1000);
});

test('later ones double up to the cap, jittered from a quarter on, at the cap too', () => {
  for (const [attempt, limit] of [
    [2, 4000],
    [3, 8000],
    [4, 15_000],
    [5, 15_000],
    [5000, 15_000],
  ]) {
    assert.equal(backoff(attempt, lowest), limit / 4);
    assert.ok(Math.abs(backoff(attempt, highest) - limit) < 1);
    assert.equal(
      backoff(attempt, () => 0.5),
      limit * 0.625,
    );
  }
});

test('a storm of 10,000 has no 100 ms with more than an eighth of it, at any attempt', () => {
  for (const attempt of [1, 2, 3, 4, 10]) {
    const counts = new Map();
    for (let n = 0; n < 10_000; n += 1) {
      const slot = Math.floor(backoff(attempt, Math.random) / 100);
      counts.set(slot, (counts.get(slot) ?? 0) + 1);
    }
    const worst = Math.max(...counts.values());
    assert.ok(worst < 1250, `attempt ${attempt}: ${worst}`);
  }
});

test('its numbers can be others', () => {
  const options = { ...BACKOFF, first: 10, base: 1, cap: 6 };
  assert.equal(
    backoff(1, () => 0.5, options),
    5,
  );
  assert.ok(Math.abs(backoff(9, highest, options) - 6) < 0.001);
});
