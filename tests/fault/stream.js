/**
 * What one client was told of one channel, held to the continuity rule as it comes: I1 (no gap
 * without a reset), I2 (nothing twice), I3 (positions rise, forks are followed only from their head).
 *
 * It keeps what was delivered as segments (epoch, from, to], so that finish can say what of the
 * channel's line neither came nor was covered by a reset.
 */
import { follows, formatPosition, samePosition } from './lineage.js';

const MISSING_MAX = 200_000; // versions of one gap that are remembered, to tell late from lost

export class Stream {
  /** @param {(invariant: string, text: string) => void} violate */
  constructor(violate) {
    this.violate = violate;
    /** where the client stands; undefined before its start is known */
    this.cursor = undefined;
    this.segments = [];
    /** resets: { from, to, why, at, excusable } */
    this.resets = [];
    this.missing = new Set();
    this.lost = 0;
    this.duplicated = 0;
    this.reordered = 0;
  }

  /** Versions that were passed over in silence and never came. */
  get lostInAll() {
    return this.lost + this.missing.size;
  }

  get start() {
    const first = this.segments[0];
    return first && [first.epoch, first.from];
  }

  #begin([epoch, version]) {
    this.cursor = [epoch, version];
    this.segments.push({ epoch, from: version, to: version, reset: this.resets.length });
  }

  /** The server said where a connection starts: by `ok`, by hello, by the first poll's cursor. */
  open(position) {
    if (this.cursor === undefined) return this.#begin(position);
    if (samePosition(this.cursor, position)) return undefined;
    const [asked, told] = [this.cursor, position].map(formatPosition);
    return this.violate('I3', `resumed at ${told}, asked for ${asked}`);
  }

  reset(reset) {
    const from = this.cursor;
    if (from && !samePosition(from, reset.from)) {
      const [stood, told] = [from, reset.from].map(formatPosition);
      this.violate('I3', `a reset from ${told} to a client that stood at ${stood}`);
    }
    this.resets.push(reset);
    this.lost += this.missing.size; // none of these is awaited any more
    this.missing.clear();
    this.#begin(reset.to);
  }

  /** Whether it was delivered since the last reset. */
  #has([epoch, version]) {
    return this.segments.some(
      (segment) =>
        segment.reset === this.resets.length &&
        segment.epoch === epoch &&
        version > segment.from &&
        version <= segment.to,
    );
  }

  /** @param {[number, number]} position  @param {[number, number] | undefined} fork */
  message(position, fork) {
    const { cursor } = this;
    if (cursor === undefined) {
      this.violate('I1', `${formatPosition(position)} before the start was known`);
      return this.#begin([position[0], position[1] - 1]);
    }
    if (!follows(cursor, position, fork)) return this.#broken(position, fork);
    const last = this.segments.at(-1);
    if (last.epoch === position[0]) last.to = position[1];
    else this.segments.push({ epoch: position[0], from: 0, to: 1, reset: this.resets.length });
    this.cursor = position;
    return undefined;
  }

  #broken(position, fork) {
    const [epoch, version] = position;
    const id = formatPosition(position);
    const stood = formatPosition(this.cursor);
    if (this.missing.delete(id)) {
      this.reordered += 1;
      this.violate('I3', `${id} came behind ${stood}`);
    } else if (this.#has(position)) {
      this.duplicated += 1;
      this.violate('I2', `${id} came twice, the client stood at ${stood}`);
    } else if (epoch === this.cursor[0] && version < this.cursor[1]) {
      this.reordered += 1;
      this.violate('I3', `${id} came behind ${stood}, from before the start`);
    } else {
      this.#gap(position, fork, id, stood);
    }
  }

  #gap([epoch, version], fork, id, stood) {
    const [fromEpoch, fromVersion] = this.cursor;
    if (epoch === fromEpoch) {
      const upTo = Math.min(version, fromVersion + MISSING_MAX);
      for (let lost = fromVersion + 1; lost < upTo; lost += 1) this.missing.add(`${epoch}-${lost}`);
      this.violate('I1', `${id} follows ${stood}: ${version - fromVersion - 1} missing`);
    } else if (this.segments.some((segment) => segment.epoch === epoch)) {
      this.violate('I3', `${id} follows ${stood}: an epoch that was left returns without a reset`);
    } else if (version === 1 && fork && fork[0] === fromEpoch && fork[1] < fromVersion) {
      this.violate('I3', `${id}, forked from ${formatPosition(fork)}, follows ${stood}: no reset`);
    } else {
      const forked = fork ? `, forked from ${formatPosition(fork)}` : '';
      this.violate('I1', `${id}${forked}, follows ${stood} without a reset`);
    }
    this.#begin([epoch, version - 1]);
    this.segments.at(-1).to = version;
    this.cursor = [epoch, version];
  }

  /**
   * The numbers of the line, above the client's start and up to where it stands, that neither came
   * nor lie under a reset: [first, last] pairs.
   * @param {import('./lineage.js').Line} line
   */
  uncovered(line) {
    const end = line.indexOf(this.cursor);
    const covered = [];
    for (const { epoch, from, to } of this.segments) {
      const part = line.parts.get(epoch);
      if (part) covered.push([part.offset + from, part.offset + Math.min(to, part.version)]);
    }
    for (const { to } of this.resets) {
      const target = line.indexOf(to);
      if (target !== undefined) covered.push([0, target]); // "what follows `to` is complete"
    }
    covered.sort((a, b) => a[0] - b[0]);
    // A start on a branch that Redis has lost is on no line: then the first reset begins it.
    let reached = line.indexOf(this.start) ?? covered[0]?.[0] ?? 0;
    const holes = [];
    for (const [from, to] of covered) {
      if (from > reached) holes.push([reached + 1, from]);
      reached = Math.max(reached, to);
    }
    if (end !== undefined && end > reached) holes.push([reached + 1, end]);
    return holes;
  }
}
