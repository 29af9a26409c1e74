/**
 * What is published: who, which of theirs, a hash over both and the padding, and 16 B to 16 KiB of
 * padding. Always JSON text, whatever type it is published as, so that every reader can read it.
 */
import { createHash } from 'node:crypto';

const LEAST = 16;
const MOST = 16_384;
const PADDING = Array.from({ length: 2 * MOST }, (_, at) =>
  String.fromCharCode(97 + ((at * 7 + (at >> 5)) % 26)),
).join('');

const hash = (p, n, x) => createHash('md5').update(`${p}/${n}/${x}`).digest('hex').slice(0, 12);

/** Sizes are spread evenly over their logarithm: many small ones, some of each size. */
export function makePayload(p, n, random, wanted = undefined) {
  const size = wanted ?? Math.floor(LEAST * (MOST / LEAST) ** random.next());
  const from = random.below(PADDING.length - size);
  const x = PADDING.slice(from, from + size);
  const h = hash(p, n, x);
  return { h, text: `{"p":${p},"n":${n},"h":"${h}","x":"${x}"}` };
}

/** The payload of a message object, whatever its type and the transport's way with it. */
export function readPayload({ data, encoding }) {
  let object = data;
  if (encoding === 'base64') object = JSON.parse(Buffer.from(data, 'base64').toString());
  else if (typeof data === 'string') object = JSON.parse(data);
  else if (data instanceof Uint8Array) object = JSON.parse(Buffer.from(data).toString());
  const { p, n, h, x } = object;
  return { p, n, h: hash(p, n, x) === h ? h : `broken(${h})` };
}

/** The same of the first bytes alone, as Redis has them; the hash is believed. */
export function readPayloadHead(text) {
  const [, p, n, h] = /^\{"p":(\d+),"n":(\d+),"h":"(\w+)"/.exec(text);
  return { p: Number(p), n: Number(n), h };
}
