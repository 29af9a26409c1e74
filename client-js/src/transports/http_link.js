/** What links over HTTP have in common: requests that are aborted, begun anew, and refused. */
import { isRefusal } from '../http.js';

/**
 * @typedef {import('../connection.js').Context} Context
 * @typedef {import('../connection.js').Hooks} Hooks
 * @typedef {import('../connection.js').Link} Link
 * @typedef {import('../connection.js').End} End
 * @typedef {import('../http.js').Channels} Channels
 * @typedef {(asked: Channels, signal: AbortSignal, change: () => void) => Promise<End | undefined>}
 *   Run
 */

/**
 * A link that lives as long as `run` does, which begins anew when the channels change. A refusal
 * ends the channels that it is about; the others go on at once.
 * @param {Pick<Context, 'http' | 'channels'>} context @param {Hooks} hooks
 * @param {Run} run
 * @returns {Link}
 */
export function httpLink({ http, channels }, hooks, run) {
  let abort = new AbortController();

  async function begin() {
    abort = new AbortController();
    const { signal } = abort;
    const asked = channels();
    /** @type {End | undefined} */
    let end;
    try {
      end = await run(asked, signal, change);
    } catch (/** @type {any} */ error) {
      end = { error };
      if (!signal.aborted && isRefusal(error)) {
        const refused = await http.refused(asked, error, signal);
        if (signal.aborted) return;
        for (const [channel, why] of refused) hooks.onRefused(channel, why);
        if (refused.size > 0) end = { retry: 0 };
      }
    }
    if (end && !signal.aborted) hooks.onEnd(end);
  }

  function change() {
    abort.abort();
    begin();
  }

  begin();
  return { close: () => abort.abort(), change };
}
