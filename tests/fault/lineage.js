/**
 * What one channel's log was, as far as anybody saw it: which payload stood at each position, and
 * from which head each epoch was forked. Positions are [epoch, version]; 0 is before version 1.
 *
 * A *lineage* is the way back from a position: down its epoch to version 1, from there to the
 * epoch's fork, and so on. What Redis has lost is on nobody's lineage any more.
 */

/** @param {string} text */
export function parsePosition(text) {
  const at = text.indexOf('-');
  return [Number(text.slice(0, at)), Number(text.slice(at + 1))];
}

export const formatPosition = ([epoch, version]) => `${epoch}-${version}`;

export const samePosition = (a, b) => a[0] === b[0] && a[1] === b[1];

/** The continuity rule of the contract: may `next` follow `cursor` without a reset? */
export function follows(cursor, next, fork) {
  if (next[0] === cursor[0]) return next[1] === cursor[1] + 1;
  return next[1] === 1 && fork !== undefined && samePosition(fork, cursor);
}

export class Lineage {
  constructor() {
    /** "E-V" → "publisher/sequence/hash" */
    this.payloads = new Map();
    /** epoch → the position that it was forked from, null where it has none */
    this.forks = new Map();
    /** epochs in the order in which anybody saw them first */
    this.epochs = new Map();
    /** epoch → highest version that anybody saw */
    this.heads = new Map();
  }

  /** Something stands, or stood, at this position. */
  sight([epoch, version]) {
    if (!this.epochs.has(epoch)) this.epochs.set(epoch, this.epochs.size);
    if ((this.heads.get(epoch) ?? -1) < version) this.heads.set(epoch, version);
  }

  /** @returns {string | undefined} another payload that was seen at the same position */
  record(id, payload) {
    const known = this.payloads.get(id);
    if (known === undefined) this.payloads.set(id, payload);
    else if (known !== payload) return known;
    return undefined;
  }

  /** @returns {string | undefined} another fork that was seen for the same epoch */
  recordFork(epoch, fork) {
    const known = this.forks.get(epoch);
    if (known === undefined) this.forks.set(epoch, fork);
    else if (String(known) !== String(fork)) return String(known);
    return undefined;
  }

  /** The epochs on the way back from a position, oldest first: [epoch, last version on it]. */
  pathTo([epoch, version]) {
    const path = [[epoch, version]];
    const passed = new Set([epoch]);
    for (;;) {
      const fork = this.forks.get(path[0][0]);
      if (!fork || passed.has(fork[0])) return path;
      passed.add(fork[0]);
      path.unshift(fork);
    }
  }

  /** Whether the cursor is on the way back from `position`, or is it. */
  isBehind(cursor, position) {
    return this.pathTo(position).some(
      ([epoch, version]) => epoch === cursor[0] && cursor[1] <= version,
    );
  }

  /** Whether a client at `cursor` has come as far as `goal`, or further, on whatever branch. */
  hasReached(cursor, goal) {
    if (cursor[0] === goal[0]) return cursor[1] >= goal[1];
    return (this.epochs.get(cursor[0]) ?? -1) > (this.epochs.get(goal[0]) ?? -1);
  }
}

/** A lineage laid out as a line of numbers: 1 is its oldest message, `length` its head. */
export class Line {
  constructor(path) {
    this.parts = new Map();
    let offset = 0;
    for (const [epoch, version] of path) {
      this.parts.set(epoch, { offset, version });
      offset += version;
    }
    this.length = offset;
  }

  /** The position's number, undefined when it is not on this line. */
  indexOf([epoch, version]) {
    const part = this.parts.get(epoch);
    return part && version <= part.version ? part.offset + version : undefined;
  }
}
