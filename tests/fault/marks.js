/**
 * How long clients need: a mark names where the channels stand at some moment, and measures until
 * each client that is concerned stands there, or further, on all of its channels. Slow readers are
 * not measured: they are behind by their own will.
 */
import { parsePosition } from './lineage.js';

const percentile = (sorted, part) =>
  sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];

export class Marks {
  constructor(checker) {
    this.checker = checker;
    this.all = [];
  }

  make({ what, heads, nodes, reattach = false, limits = {}, at = this.checker.now }) {
    const mark = { what, at, limits, times: [], clients: 0 };
    this.all.push(mark);
    for (const client of this.checker.clients.values()) {
      if (client.isSlow || (nodes && !nodes.includes(client.node))) continue;
      const waits = { left: 0 };
      for (const stream of client.streams.values()) {
        if (heads[stream.channel] === undefined || stream.cursor === undefined) continue;
        waits.left += 1;
        const goal = parsePosition(heads[stream.channel]);
        this.checker.lineage(stream.channel).sight(goal);
        stream.marks ??= [];
        stream.marks.push({ mark, goal, client: waits, needsOpen: reattach, isOpen: false });
      }
      if (waits.left === 0) continue;
      mark.clients += 1;
      for (const stream of client.streams.values()) this.advance(stream);
    }
  }

  /** The client has a connection again, which some marks wait for. */
  opened(client) {
    for (const stream of client.streams.values()) {
      for (const waiting of stream.marks ?? []) waiting.isOpen = true;
      this.advance(stream);
    }
  }

  /** The stream has moved: which marks has it reached? */
  advance(stream) {
    if (!stream.marks?.length) return;
    const lineage = this.checker.lineage(stream.channel);
    stream.marks = stream.marks.filter(({ mark, goal, client, needsOpen, isOpen }) => {
      if (needsOpen && !isOpen) return true;
      if (!lineage.hasReached(stream.cursor, goal)) return true;
      client.left -= 1;
      if (client.left === 0) mark.times.push(this.checker.now - mark.at);
      return false;
    });
  }

  /** All marks of one kind, as one distribution, held to its limits. */
  judge() {
    const kinds = new Map();
    for (const mark of this.all) {
      const kind = kinds.get(mark.what) ?? { clients: 0, times: [], limits: mark.limits };
      kind.clients += mark.clients;
      kind.times.push(...mark.times);
      kinds.set(mark.what, kind);
    }
    return [...kinds].map(([what, kind]) => this.#judgeKind(what, kind));
  }

  #judgeKind(what, { clients, times, limits }) {
    const never = clients - times.length;
    const sorted = [...times, ...Array(never).fill(Infinity)].sort((a, b) => a - b);
    const of = { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99) };
    const time = { what, clients, never, ...of, max: sorted.at(-1) ?? 0, limits };
    for (const [name, limit] of Object.entries(limits)) {
      if (time[name] <= limit) continue;
      const took = `${name} ${Math.round(time[name])} ms`;
      this.checker.violate('bound', `${what}: ${took}, at most ${limit} ms`);
    }
    return time;
  }
}
