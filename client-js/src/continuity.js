/**
 * The rule that tells the next message from a double and from a hole. Pure.
 *
 * After position c comes, without a reset, only the next version of the same epoch, or version 1 of
 * an epoch whose fork point is c: a new writer that inherited exactly what we know.
 */

const POSITION = /^\d{1,16}-\d{1,16}$/;

/** @param {unknown} text */
export function isPosition(text) {
  return typeof text === 'string' && POSITION.test(text);
}

/**
 * @param {string} position
 * @returns {[string, number]} its epoch, only ever compared, and version
 */
function parts(position) {
  const [epoch, version] = position.split('-');
  return [epoch, Number(version)];
}

/**
 * @param {string} cursor a position
 * @param {{ id: string, fork?: string | null }} message
 * @returns {'next' | 'double' | 'hole'}
 */
export function judge(cursor, { id, fork }) {
  const [ourEpoch, ourVersion] = parts(cursor);
  const [epoch, version] = parts(id);
  if (epoch !== ourEpoch) return version === 1 && fork === cursor ? 'next' : 'hole';
  if (version === ourVersion + 1) return 'next';
  return version <= ourVersion ? 'double' : 'hole';
}

/** The cursor that this message comes next to. @param {string} id */
export function before(id) {
  const [epoch, version] = parts(id);
  return `${epoch}-${version - 1}`;
}

/**
 * Whether a reader at `cursor` has what follows `position`.
 * @param {string} cursor
 * @param {string} position
 */
export function covers(cursor, position) {
  const [epoch, version] = parts(position);
  const [ourEpoch, ourVersion] = parts(cursor);
  return epoch === ourEpoch && ourVersion >= version;
}
