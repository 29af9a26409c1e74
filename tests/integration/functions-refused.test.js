/** What freshet_publish and freshet_open refuse: with ERR and a reason, and nothing written. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Channel, snapshot } from '../support/functions.js';
import { startRedis } from '../support/redis.js';

const KEYS = ['freshet:{c}', 'freshet:{c}:log'];
const MIB = 1_048_576;

const BAD_CHANNELS = {
  'an empty name': '',
  'a name of 201 bytes': 'x'.repeat(201),
  'a space': 'a b',
  'a brace': 'a}b',
  'an opening brace': '{a',
  'a tab': 'a\tb',
  'a NUL': 'a\0b',
  DEL: 'a\x7fb',
  'a byte that is no UTF-8': Buffer.from([0x61, 0xff]),
  'a cut UTF-8 form': Buffer.from([0xe2, 0x82]),
  'a lone continuation byte': Buffer.from([0x80]),
  'an overlong slash': Buffer.from([0xc0, 0xaf]),
  'an overlong form of three bytes': Buffer.from([0xe0, 0x82, 0xaf]),
  'an overlong form of four bytes': Buffer.from([0xf0, 0x80, 0x80, 0xaf]),
  'a surrogate': Buffer.from([0xed, 0xa0, 0x80]),
  'a character above U+10FFFF': Buffer.from([0xf4, 0x90, 0x80, 0x80]),
};

/** keys, then what follows them; and what the reason must mention */
const BAD_CALLS = {
  'no keys': [[], ['1'], /key/],
  'no data': [KEYS, [], /DATA/],
  'a first key without braces': [['freshet:c', 'freshet:c:log'], ['1'], /PREFIX/],
  'a first key without a prefix': [[':{c}', ':{c}:log'], ['1'], /PREFIX/],
  'a prefix of 33 characters': [
    [`${'p'.repeat(33)}:{c}`, `${'p'.repeat(33)}:{c}:log`],
    ['1'],
    /PREFIX/,
  ],
  'a prefix with other characters': [['fre:shet:{c}', 'fre:shet:{c}:log'], ['1'], /PREFIX/],
  'a second key of another channel': [[KEYS[0], 'freshet:{d}:log'], ['1'], /:log/],
  'a second key that is no log': [[KEYS[0], 'freshet:{c}:lo'], ['1'], /:log/],
  'a third key without ONCE': [[...KEYS, 'freshet:{c}:once:k'], ['1'], /ONCE/],
  'a third key of another ONCE': [[...KEYS, 'freshet:{c}:once:x'], ['1', 'ONCE', 'k'], /:once:/],
  'a fourth key': [[...KEYS, 'freshet:{c}:once:k', 'x'], ['1', 'ONCE', 'k'], /:once:/],
  'an unknown option': [KEYS, ['1', 'COLOUR', 'red'], /COLOUR/],
  'an option twice': [KEYS, ['1', 'TTL', '5', 'ttl', '5'], /repeated/],
  'an option without value': [KEYS, ['1', 'EVENT'], /EVENT/],
  'another type': [KEYS, ['1', 'TYPE', 'xml'], /TYPE/],
  'json that is none': [KEYS, ['{"a":'], /^ERR json: /],
  'empty json': [KEYS, [''], /^ERR json: /],
  'json and more': [KEYS, ['{} x', 'TYPE', 'json'], /^ERR json: /],
  'json that is too deep': [KEYS, ['['.repeat(2000) + ']'.repeat(2000)], /^ERR json: /],
  'more than 1 MiB': [KEYS, ['x'.repeat(MIB + 1), 'TYPE', 'text'], /DATA/],
  'an empty event': [KEYS, ['1', 'EVENT', ''], /EVENT/],
  'an event of 65 bytes': [KEYS, ['1', 'EVENT', 'e'.repeat(65)], /EVENT/],
  'an event with a line feed': [KEYS, ['1', 'EVENT', 'a\nb'], /EVENT/],
  'an event that is not ASCII': [KEYS, ['1', 'EVENT', 'é'], /EVENT/],
  'HISTORY 0': [KEYS, ['1', 'HISTORY', '0'], /HISTORY/],
  'HISTORY above 100,000': [KEYS, ['1', 'HISTORY', '100001'], /HISTORY/],
  'HISTORY that is no number': [KEYS, ['1', 'HISTORY', '0x10'], /HISTORY/],
  'HISTORY with a fraction': [KEYS, ['1', 'HISTORY', '1.5'], /HISTORY/],
  'TTL 0': [KEYS, ['1', 'TTL', '0'], /TTL/],
  'TTL below 0': [KEYS, ['1', 'TTL', '-1'], /TTL/],
  'TTL above 30 days': [KEYS, ['1', 'TTL', '2592001'], /TTL/],
  'an empty ONCE': [KEYS, ['1', 'ONCE', ''], /ONCE/],
  'ONCE of 201 bytes': [KEYS, ['1', 'ONCE', 'k'.repeat(201)], /ONCE/],
  'FOR without ONCE': [KEYS, ['1', 'FOR', '5'], /ONCE/],
  'FOR 0': [KEYS, ['1', 'ONCE', 'k', 'FOR', '0'], /FOR/],
  'FOR above a day': [KEYS, ['1', 'ONCE', 'k', 'FOR', '86401'], /FOR/],
  'IF that is no position': [KEYS, ['1', 'IF', '12'], /IF/],
};

for (const event of 'open error message hello reset bye ok join leave stale'.split(' ')) {
  BAD_CALLS[`the event ${event}`] = [KEYS, ['1', 'EVENT', event], /reserved/];
}

describe('refused, and nothing written', () => {
  let redis;
  before(async () => {
    redis = await startRedis({ functions: true });
    await new Channel(redis, 'c').publish('"what was there"');
  });
  after(() => redis?.stop());

  async function assertRefused(reason, ...command) {
    const before = await snapshot(redis);
    await assert.rejects(redis.call(...command), (error) => {
      assert.match(error.message, /^ERR /);
      assert.match(error.message, reason);
      return true;
    });
    assert.deepEqual(await snapshot(redis), before);
  }

  for (const [what, [keys, args, reason]] of Object.entries(BAD_CALLS)) {
    it(what, () =>
      assertRefused(reason, 'FCALL', 'freshet_publish', keys.length, ...keys, ...args),
    );
  }

  for (const [what, name] of Object.entries(BAD_CHANNELS)) {
    it(`a channel with ${what}, in both forms and in open`, async () => {
      const hash = Buffer.concat([Buffer.from('freshet:{'), Buffer.from(name), Buffer.from('}')]);
      const log = Buffer.concat([hash, Buffer.from(':log')]);
      await assertRefused(/channel/, 'FCALL', 'freshet_publish', 1, name, '1');
      await assertRefused(/channel/, 'FCALL', 'freshet_publish', 2, hash, log, '1');
      await assertRefused(/channel/, 'FCALL', 'freshet_open', 2, hash, log);
    });
  }

  it('freshet_open with anything but two keys', async () => {
    await assertRefused(/two keys/, 'FCALL', 'freshet_open', 1, 'c');
    await assertRefused(/two keys/, 'FCALL', 'freshet_open', 2, ...KEYS, 'more');
  });

  it('keys of another kind, whatever they are', async () => {
    for (const [key, ...words] of [
      ['freshet:{k}'],
      ['freshet:{k}:log'],
      ['freshet:{k}:once:o', 'ONCE', 'o'],
    ]) {
      await redis.call('RPUSH', key, 'a list');
      const before = await snapshot(redis);
      const channel = new Channel(redis, 'k');
      await assert.rejects(channel.publish('1', ...words), /^RedisError: WRONGTYPE/);
      assert.deepEqual(await snapshot(redis), before);
      await redis.call('DEL', key);
    }
  });
});
