/** What the faults share: where they can be had, the times that are promised, and repetition. */

/** With a proxy on each node's way to Redis, and clocks that can be moved. */
export const STANDALONE = ['standalone'];

/** With one Redis, which can be killed, stopped and filled with other data. */
export const ONE_REDIS = ['standalone', 'compose'];

export const SENTINEL = ['sentinel'];

/** With what only Docker can do. */
export const COMPOSE = ['compose'];

/** Processes of this machine. */
export const LOCAL = ['standalone', 'sentinel'];

/** Clients of a killed node, until they have caught up elsewhere. */
export const BACK = { p50: 1000, p99: 5000 };

/** Everybody, until told that Redis has lost everything. */
export const TOLD = { max: 10_000 };

/** Clients of a node, from when both its links are back. */
export const AFTER_LINK = { p99: 1000 };

/** Everybody, from when Redis answers again with all its data. */
export const AFTER_REDIS = { p99: 2000 };

/** Until a node that hears nothing is unready, and has cut its links. */
export const FOUND_MS = 4000;

/** Repeats until the fault ends. Beside another fault an act may fail: Redis may be away. */
export async function repeat(context, every, act) {
  while (context.isOn) {
    await act().catch((error) => {
      if (!context.isPair) throw error;
    });
    await context.sleep(every);
  }
}
