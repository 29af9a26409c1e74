/** Payloads say who published what, on every transport and in every type; and one seed is one load. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makePayload, readPayload, readPayloadHead } from './payload.js';
import { createRandom } from './random.js';

const { h, text } = makePayload(2, 17, createRandom(1));
const expected = { p: 2, n: 17, h };

test('a payload is read back in whatever form it comes', () => {
  assert.deepEqual(readPayload({ data: JSON.parse(text) }), expected); // json
  assert.deepEqual(readPayload({ data: text, encoding: 'json' }), expected); // json in msgpack
  assert.deepEqual(readPayload({ data: text }), expected); // text
  assert.deepEqual(readPayload({ data: Buffer.from(text) }), expected); // binary in msgpack
  const base64 = Buffer.from(text).toString('base64');
  assert.deepEqual(readPayload({ data: base64, encoding: 'base64' }), expected);
  assert.deepEqual(readPayloadHead(text), expected); // as Redis has it
});

test('one changed byte is noticed', () => {
  const changed = text.replace(/(.)"}$/, (_, last) => `${last === 'a' ? 'b' : 'a'}"}`);
  assert.notEqual(readPayload({ data: changed }).h, h);
  const other = text.replace('"n":17', '"n":18');
  assert.notEqual(readPayload({ data: other }).h, h);
});

test('sizes are from 16 bytes to 16 KiB', () => {
  const random = createRandom(7);
  const sizes = Array.from(
    { length: 2000 },
    (_, n) => JSON.parse(makePayload(0, n, random).text).x.length,
  );
  assert.ok(Math.min(...sizes) >= 16 && Math.min(...sizes) < 32);
  assert.ok(Math.max(...sizes) <= 16_384 && Math.max(...sizes) > 14_000);
});

test('a seed makes the same choices again, another one others', () => {
  const choices = (seed) => {
    const random = createRandom(seed);
    return [random.below(1000), random.sample([1, 2, 3, 4, 5], 3), random.fork().next()];
  };
  assert.deepEqual(choices(42), choices(42));
  assert.notDeepEqual(choices(42), choices(43));
});
