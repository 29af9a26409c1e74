/** One publication: what the application gives, as a command and as a request. */
import { FreshetError } from './error.js';

/**
 * @typedef {object} PublishOptions
 * @property {'json' | 'text' | 'binary'} [type] default: binary for bytes, else json
 * @property {string} [event] a name for it
 * @property {string} [once] a retry with the same key returns the first position
 * @property {string} [if] publish only at this head; `none` for a channel without one
 *
 * @typedef {PublishOptions & { channel: string, data: any, type: 'json' | 'text' | 'binary' }}
 *   Publication
 */

/** Nodes take frames of 64 KiB; a character may be three bytes, or six when JSON escapes it. */
const FRAME_CHARACTERS_MAX = 10_000;

/**
 * @param {string} channel @param {any} data @param {PublishOptions} options
 * @returns {Publication}
 */
export function publicationOf(channel, data, { type, event, once, if: head }) {
  const isBytes = data instanceof ArrayBuffer || ArrayBuffer.isView(data);
  type ??= isBytes ? 'binary' : 'json';
  if (data === undefined || (type === 'binary') !== isBytes) {
    throw new TypeError(`data of type ${type} cannot be ${isBytes ? 'bytes' : typeof data}`);
  }
  return { channel, data: isBytes ? base64Of(data) : data, type, event, once, if: head };
}

/**
 * @param {import('./connection.js').Link} link @param {Publication} publication
 * @returns {Promise<string> | undefined} undefined: not by this way
 */
export function overLink(link, { type, ...publication }) {
  if (JSON.stringify(publication.data).length > FRAME_CHARACTERS_MAX) return undefined;
  const answer = link.request?.({ type: 'publish', as: type, ...publication });
  return answer?.then(
    ({ position }) => position,
    (error) => {
      if (error.code !== 'closed') throw error;
      const text = 'the connection broke before the answer';
      throw new FreshetError('unknown', text, { retry: true, cause: error });
    },
  );
}

/**
 * @param {import('./http.js').Http} http
 * @param {Publication} publication
 * @returns {Promise<string>}
 */
export async function overHttp(http, publication) {
  const answer = await http.json(http.url('publish'), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(publication),
  });
  return answer.position;
}

/** @param {ArrayBuffer | ArrayBufferView} data */
function base64Of(data) {
  const bytes = ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
