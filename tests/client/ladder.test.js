/** Which transport is tried when. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ladder } from '../../client-js/src/ladder.js';

const MINUTE = 60_000;

test('all are tried, best first, until something is learnt', () => {
  assert.deepEqual(new Ladder(4).candidates(0), [0, 1, 2, 3]);
});

test('what failed while a lower one worked is left out for 1, 5, 15, then 30 minutes', () => {
  const ladder = new Ladder(2);
  let now = 0;
  for (const minutes of [1, 5, 15, 30, 30]) {
    ladder.won(1, [0], now);
    assert.deepEqual(ladder.candidates(now), [1]);
    assert.deepEqual(ladder.climb(1), { at: 0, time: now + minutes * MINUTE });
    now += minutes * MINUTE;
    assert.deepEqual(ladder.candidates(now), [0, 1]);
  }
});

test('what failed below the winner, or together with all, is not held against it', () => {
  const ladder = new Ladder(3);
  ladder.won(0, [1, 2], 0);
  assert.deepEqual(ladder.candidates(0), [0, 1, 2]);
  assert.equal(ladder.climb(0), undefined);
});

test('two deaths in youth are enough; one that was demoted before has only one', () => {
  const ladder = new Ladder(2);
  assert.equal(ladder.diedYoung(0, 0), false);
  assert.deepEqual(ladder.candidates(0), [0, 1]);
  assert.equal(ladder.diedYoung(0, 0), true);
  assert.deepEqual(ladder.candidates(0), [1]);
  assert.deepEqual(ladder.candidates(MINUTE), [0, 1]);
  assert.equal(ladder.diedYoung(0, MINUTE), true);
});

test('a proven one is back in five seconds: then the server was away, not the way', () => {
  const ladder = new Ladder(2);
  ladder.proven(0);
  ladder.won(1, [0], 0);
  assert.equal(ladder.climb(1).time, 5_000);
  ladder.won(1, [0], 5_000);
  assert.equal(ladder.climb(1).time, 5_000 + MINUTE, 'but not for ever');
});

test('strikes do not add up over proven lives', () => {
  const ladder = new Ladder(2);
  for (let n = 0; n < 5; n += 1) {
    assert.equal(ladder.diedYoung(0, n), false);
    ladder.proven(0);
  }
});

test('when all are demoted all are tried', () => {
  const ladder = new Ladder(2);
  for (const at of [0, 0, 1, 1]) ladder.diedYoung(at, 0);
  assert.deepEqual(ladder.candidates(0), [0, 1]);
});
