/**
 * What only the end can tell. Which branch of a channel's log Redis kept is known then, and so:
 * what was acknowledged and is gone (I6), who is not at the head (I7), whether a poll had to know
 * better (I9), which resets were needless (I12), what came twice by a retry (I2) or came although
 * it was refused (I5).
 */
import { Line, formatPosition, parsePosition } from './lineage.js';

/** Publications on their way when a reset was told: the log may have been trimmed by them too. */
const IN_FLIGHT = 50;

const FRESH_CALM_MS = 50;
const FRESH_FAULT_MS = 4000;

/**
 * @typedef {object} Result
 * @property {any} run
 * @property {Record<string, number>} row
 * @property {Record<string, number>} resets by reason
 * @property {{ what: string, clients: number, never: number, p50: number, p99: number, max: number,
 *   limits: Record<string, number> }[]} times
 * @property {any[]} measures
 * @property {any[]} violations
 * @property {Record<string, number>} broken
 * @property {any[]} windows
 * @property {Record<string, number>} closes
 * @property {{ times: number, most: number }} late the kit itself, by over 100 ms
 * @property {boolean} ok
 */

/** The final line of each channel whose head is known. */
function layLines(checker) {
  const lines = new Map();
  for (const [channel, head] of checker.heads) {
    lines.set(channel, new Line(checker.lineage(channel).pathTo(head)));
  }
  return lines;
}

const indexesOn = (line, publication) =>
  [...publication.positions]
    .map((id) => line.indexOf(parsePosition(id)))
    .filter((index) => index !== undefined);

function judgePublications(checker, lines, row) {
  const acknowledged = new Map([...lines.keys()].map((channel) => [channel, new Set()]));
  for (const publication of checker.publications.values()) {
    const { p, n, ch, outcome, positions } = publication;
    const name = `${p}/${n} on ${checker.channelName(ch)}`;
    if (outcome === 'refused' && positions.size > 0) {
      const where = [...positions].join(', ');
      checker.violate('I5', `${name} was refused, and stands at ${where}`, publication.at);
    }
    const line = lines.get(ch);
    if (!line) continue;
    const indexes = indexesOn(line, publication);
    if (indexes.length > 1 && !checker.run.forgetsOnce) {
      row.duplicated += 1;
      const where = [...positions].join(' and ');
      checker.violate('I2', `${name} was published twice: ${where}`, publication.at);
    }
    if (outcome === 'refused') row.refused += 1;
    if (outcome === 'maybe' || outcome === 'open') row.unanswered += 1;
    if (outcome !== 'acknowledged') continue;
    row.acknowledged += 1;
    if (publication.confirmed > 0) row.confirmed += 1;
    for (const index of indexes) acknowledged.get(ch).add(index);
    if (indexes.length === 0) judgeRolledBack(checker, publication, name, row);
    else judgeAnswers(checker, line, publication, name);
  }
  return acknowledged;
}

/** It stands in the log: where the publisher was told that it does? */
function judgeAnswers(checker, line, { answers, positions, at }, name) {
  if (checker.run.lossy) return;
  for (const id of answers) {
    if (line.indexOf(parsePosition(id)) !== undefined) continue;
    const where = [...positions].filter((position) => !answers.has(position)).join(', ');
    checker.violate('I4', `${name} was acknowledged at ${id}, and stands at ${where}`, at);
  }
}

function judgeRolledBack(checker, publication, name, row) {
  row.rolledBack += 1;
  if (publication.seen) row.rolledBackSeen += 1;
  const at = publication.acknowledgedAt;
  if (publication.confirmed > 0) {
    row.confirmedRolledBack += 1;
    checker.violate('I6', `${name}: acknowledged, confirmed by a replica, and gone`, at);
  } else if (!checker.run.lossy) {
    checker.violate('I6', `${name}: acknowledged and gone, where nothing can be lost`, at);
  }
}

function judgeCoverage(checker, lines, acknowledged, row) {
  for (const stream of checker.streams()) {
    row.lost += stream.lostInAll;
    row.duplicated += stream.duplicated;
    row.reordered += stream.reordered;
    const line = lines.get(stream.channel);
    if (!line || stream.cursor === undefined) continue;
    let missing = 0;
    for (const [from, to] of stream.uncovered(line)) {
      for (let index = from; index <= to; index += 1) {
        if (acknowledged.get(stream.channel).has(index)) missing += 1;
      }
    }
    if (missing === 0) continue;
    row.lostAcknowledged += missing;
    const who = `client ${stream.client}, ${checker.channelName(stream.channel)}`;
    checker.violate('I6', `${who}: ${missing} acknowledged messages neither came nor were covered`);
  }
}

function judgeConvergence(checker) {
  for (const stream of checker.streams()) {
    const head = checker.heads.get(stream.channel);
    if (!head) continue;
    const stands = stream.cursor ? formatPosition(stream.cursor) : 'nowhere';
    if (stands === formatPosition(head)) continue;
    const who = `client ${stream.client}, ${checker.channelName(stream.channel)}`;
    const late = `${checker.run.settle} ms after healing`;
    checker.violate('I7', `${who}: at ${stands} ${late}, the head is ${formatPosition(head)}`);
  }
}

/** Where the way back from a position meets the line. */
function branchIndex(line, lineage, position) {
  for (const [epoch, version] of lineage.pathTo(position).reverse()) {
    const part = line.parts.get(epoch);
    if (part) return part.offset + Math.min(version, part.version);
  }
  return undefined;
}

/** Whether the log may have been trimmed beyond what follows this number, when the reset was told. */
function wasTrimmed(checker, channel, line, from, newest) {
  if (checker.run.losesLogs) return true;
  const history = checker.run.channels[channel]?.history ?? 1000;
  const head = newest && line.indexOf([newest.epoch, newest.version]);
  return head !== undefined && head + IN_FLIGHT - from >= history;
}

function judgeReset(checker, line, stream, reset, row) {
  const from = line.indexOf(reset.from);
  const to = line.indexOf(reset.to);
  const lineage = checker.lineage(stream.channel);
  const branch = from ?? branchIndex(line, lineage, reset.from) ?? 0;
  const skipped = Math.max(0, (to ?? branch) - branch);
  row.covered += skipped;
  if (from === undefined) return; // it stood where Redis is no longer
  if (skipped > 0 && wasTrimmed(checker, stream.channel, line, from, reset.newest)) return;
  row.needless += 1;
  if (!checker.run.clean) return;
  const where = `${formatPosition(reset.from)} to ${formatPosition(reset.to)} (${reset.why})`;
  const who = `client ${stream.client}, ${checker.channelName(stream.channel)}`;
  checker.violate('I12', `${who}: a needless reset from ${where}`, reset.at);
}

function judgeResets(checker, lines, row, resets) {
  for (const stream of checker.streams()) {
    const line = lines.get(stream.channel);
    for (const reset of stream.resets) {
      resets[reset.why] = (resets[reset.why] ?? 0) + 1;
      row.resets += 1;
      if (line) judgeReset(checker, line, stream, reset, row);
    }
  }
}

/** A poll with `min` has it or says 503; one without has what was acknowledged a moment before. */
function judgeLook(checker, look) {
  const { ch, id, min, status, cursor, stale, age, isCalm, t } = look;
  const lineage = checker.lineage(ch);
  const had = cursor !== undefined && lineage.hasReached(parsePosition(cursor), parsePosition(id));
  const who = `node ${look.node}, ${checker.channelName(ch)} ${id}`;
  const limit = isCalm ? FRESH_CALM_MS : FRESH_FAULT_MS;
  const answered = status === 200 || status === 304;
  if (isCalm && !answered) {
    checker.violate('I9', `${who}: a poll was answered ${status}, with nothing wrong`, t);
  } else if (status === 304 && stale !== undefined) {
    checker.violate('I9', `${who}: 304, although stale for ${stale} s`, t);
  } else if (min && answered && !had) {
    checker.violate('I9', `${who}: a poll with min was answered ${status} without it`, t);
  } else if (!min && answered && !had && stale === undefined && age >= limit) {
    const late = `${Math.round(age)} ms after it was acknowledged`;
    checker.violate('I9', `${who}: answered ${status} without it, ${late}`, t);
  }
}

function judgeLooks(checker, lines, row) {
  for (const look of checker.looks) {
    const line = lines.get(look.ch);
    if (line && line.indexOf(parsePosition(look.id)) === undefined) continue; // rolled back
    row.looks += 1;
    judgeLook(checker, look);
  }
}

/** @returns {Result} */
export function judge(checker) {
  const { deliveries, reused, failedRequests, staleNotices, redials } = checker;
  const row = {
    ...{ deliveries, lost: 0, lostAcknowledged: 0, duplicated: 0, reordered: 0, reused },
    ...{ resets: 0, covered: 0, needless: 0 },
    ...{
      refused: 0,
      unanswered: 0,
      acknowledged: 0,
      confirmed: 0,
      rolledBack: 0,
      rolledBackSeen: 0,
      confirmedRolledBack: 0,
    },
    ...{ looks: 0, failedRequests, staleNotices, redials },
  };
  const resets = {};
  const lines = layLines(checker);
  const acknowledged = judgePublications(checker, lines, row);
  judgeCoverage(checker, lines, acknowledged, row);
  judgeConvergence(checker);
  judgeResets(checker, lines, row, resets);
  judgeLooks(checker, lines, row);
  const times = checker.marks.judge();
  if (checker.run.mustRedial && redials === 0) {
    checker.violate('kit', 'the fault has done nothing: no node has lost a link to Redis');
  }
  const { run, measures, violations, broken, windows, closes, late } = checker;
  const ok = Object.keys(broken).length === 0;
  return { run, row, resets, times, measures, violations, broken, windows, closes, late, ok };
}
