/**
 * The function library as an application calls it: a channel's keys, calls and contents in Redis.
 */
import { decodeMsgpack } from './msgpack.js';

/** Every command that freshet_publish may need, as rights; `once` only with ONCE. */
export const PUBLISH_RIGHTS = [
  'fcall',
  'time',
  'hmget',
  'hset',
  'xadd',
  'xtrim',
  'xinfo|stream',
  'memory|usage',
  'pexpireat',
  'persist',
  'publish',
  'cluster|keyslot',
];
export const ONCE_RIGHTS = ['get', 'set'];
export const OPEN_RIGHTS = [
  'fcall',
  'time',
  'hmget',
  'hset',
  'xinfo|stream',
  'pttl',
  'pexpireat',
  'persist',
];

export class Channel {
  /** @param {{ call: Function, callBytes: Function }} redis  @param {string | Buffer} name */
  constructor(redis, name, prefix = 'freshet') {
    this.redis = redis;
    this.hash = `${prefix}:{${name}}`;
    this.log = `${this.hash}:log`;
    this.now = `${this.hash}:now`;
  }

  onceKey(key) {
    return `${this.hash}:once:${key}`;
  }

  /** Publishes in the long form. @returns {Promise<string>} the position */
  publish(data, ...words) {
    return this.redis.call('FCALL', 'freshet_publish', 2, this.hash, this.log, data, ...words);
  }

  /** @returns {Promise<string>} the head */
  open() {
    return this.redis.call('FCALL', 'freshet_open', 2, this.hash, this.log);
  }

  /** The log's entries with their fields as an object. */
  async entries() {
    const entries = await this.redis.call('XRANGE', this.log, '-', '+');
    return entries.map(([id, fields]) => ({ id, ...toObject(fields) }));
  }

  async positions() {
    return (await this.entries()).map(({ id }) => id);
  }

  /** The HASH as an object. */
  async record() {
    return toObject(await this.redis.call('HGETALL', this.hash));
  }

  delete(...keys) {
    return this.redis.call('DEL', ...(keys.length > 0 ? keys : [this.hash, this.log]));
  }
}

function toObject(pairs) {
  const object = {};
  for (let i = 0; i < pairs.length; i += 2) object[pairs[i]] = pairs[i + 1];
  return object;
}

/** An envelope's array of 8, with names. */
export function decodeEnvelope(bytes) {
  const items = decodeMsgpack(bytes);
  if (!Array.isArray(items) || items.length !== 8) {
    throw new Error(`not an envelope: ${JSON.stringify(items)}`);
  }
  const [format, epoch, version, fork, type, event, time, data] = items;
  return { format, epoch, version, fork, type, event, time, data };
}

/** Everything in the keyspace, values and expiries, to compare before and after. */
export async function snapshot(redis) {
  const keys = (await redis.callBytes('KEYS', '*')).sort(Buffer.compare);
  const rows = keys.map(async (key) => {
    const [dump, expires] = await Promise.all([
      redis.callBytes('DUMP', key),
      redis.call('PEXPIRETIME', key),
    ]);
    return `${key.toString('latin1')} ${expires} ${dump?.toString('hex')}`;
  });
  return Promise.all(rows);
}

export const epochOf = (position) => Number(position.split('-')[0]);
export const versionOf = (position) => Number(position.split('-')[1]);
