/** Tokens as an application's backend makes them, and as it never would. */
import { createHmac } from 'node:crypto';

export const KEY = 'a key of the tests, which is no secret at all';

const encode = (value) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/**
 * A compact JWT by HS256, whatever the header says.
 * @param {object | string} claims
 * @param {{ key?: string, header?: object | string }} [options]
 */
export function mint(claims, { key = KEY, header = { alg: 'HS256', typ: 'JWT' } } = {}) {
  const text = `${encode(header)}.${encode(claims)}`;
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
}

export const bearer = (token) => ({ Authorization: `Bearer ${token}` });

/** A NumericDate, so many seconds from now. */
export const inSeconds = (seconds) => Date.now() / 1000 + seconds;
