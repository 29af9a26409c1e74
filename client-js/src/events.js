/** Events that carry their words as properties: `event.data`, `event.reason`, `event.state`. */

/**
 * @template {string} Type
 * @template {object} Detail
 * @typedef {Event & { readonly type: Type } & Readonly<Detail>} EventWith
 */

/**
 * @template {string} Type
 * @template {object} Detail
 * @param {Type} type @param {Detail} detail without `type`
 * @returns {EventWith<Type, Detail>}
 */
export function eventWith(type, detail) {
  return /** @type {any} */ (Object.assign(new Event(type), detail));
}
