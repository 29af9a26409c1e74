/** Which faults are run, in which topology, and for how long: what the command line asks for. */
import { FAULTS, TOPOLOGIES, topologiesOf } from './nemesis.js';

/** What was asked for cannot be had. */
export class Misuse extends Error {}

const SHORT_CYCLE_S = 12;
const SHORT = {
  local: ['none', 'node-kill', 'node-term', 'redis-restart-aof', 'redis-empty'].concat([
    'pubsub-cut',
    'link-black-hole',
    'function-flush',
  ]),
  compose: ['none', 'node-kill', 'node-term', 'redis-restart-aof', 'redis-empty'].concat([
    'client-kill-pubsub',
    'node-cut-off',
    'node-scale',
  ]),
};

/** Of which one may be on at a time: they are about the same process, or about all of them. */
const EXCLUSIVE = /^(redis-|keys-|clock-redis|none|rolling|failover|master-|haproxy-|node-scale)/;

/** The topologies that are asked for: those of this machine, or the cluster in containers. */
const wantedTopologies = ({ compose }) =>
  TOPOLOGIES.filter((topology) => (topology === 'compose') === compose);

function notThere(name, wanted) {
  if (!wanted.includes('compose')) return `${name} can be had with --compose only`;
  return `${name} cannot be had with --compose, only in ${topologiesOf(name).join(' or ')}`;
}

/** The first that all of these faults can be had in. */
function findTopology(names, wanted) {
  const offered = names.map((name) => {
    if (!FAULTS[name]) throw new Misuse(`no fault ${name}; see --list`);
    const found = wanted.filter((topology) => topologiesOf(name).includes(topology));
    if (found.length === 0) throw new Misuse(notThere(name, wanted));
    return found;
  });
  const common = wanted.find((topology) => offered.every((found) => found.includes(topology)));
  if (!common) throw new Misuse(`no topology has all of ${names.join('+')}`);
  return common;
}

/** What belongs to both may follow from a pair; what is promised of one only holds for neither. */
function combine(names, wanted) {
  const topology = findTopology(names, wanted);
  const faults = names.map((name) => FAULTS[name]);
  const any = (key) => faults.some((fault) => fault[key]);
  const all = (key) => faults.every((fault) => fault[key]);
  return {
    name: names.join('+'),
    names,
    topology,
    ...{ lossy: any('lossy'), losesLogs: any('losesLogs'), forgetsOnce: any('forgetsOnce') },
    ...{ clean: all('clean'), keepsClients: all('keepsClients'), noFailures: all('noFailures') },
    // Beside another one it may find its links down already.
    mustRedial: faults.length === 1 && faults[0].mustRedial,
  };
}

const namesIn = (wanted) =>
  Object.keys(FAULTS).filter((name) =>
    topologiesOf(name).some((topology) => wanted.includes(topology)),
  );

/** All pairs with one Redis that make sense together. */
function pairsIn(wanted) {
  const names = namesIn(wanted.filter((topology) => topology !== 'sentinel'));
  const paired = names.filter((name) => name !== 'none' && name !== 'rolling-restart');
  return paired.flatMap((first, at) =>
    paired
      .slice(at + 1)
      .filter((second) => !(EXCLUSIVE.test(first) && EXCLUSIVE.test(second)))
      .map((second) => [first, second]),
  );
}

/**
 * @param {{ fault: string[], all?: boolean, short?: boolean, pairs?: boolean, compose?: boolean,
 *   minutes: string, cycle: string }} wanted
 * @param {ReturnType<import('./random.js').createRandom>} random
 * @returns {{ fault: ReturnType<typeof combine>, minutes: number, cycleMs: number }[]}
 */
export function plan({ compose = false, ...wanted }, random) {
  const topologies = wantedTopologies({ compose });
  const each = (faults, minutes, cycleS = Number(wanted.cycle)) => {
    const of = (names) => ({ fault: combine(names, topologies), minutes, cycleMs: cycleS * 1000 });
    return faults.map(of);
  };
  const alone = (names) => names.map((name) => [name]);
  const minutes = Number(wanted.minutes);
  if (wanted.all) return each(alone(namesIn(topologies)), minutes);
  if (wanted.short) return each(alone(SHORT[compose ? 'compose' : 'local']), 0, SHORT_CYCLE_S);
  if (wanted.pairs) return each(random.sample(pairsIn(topologies), Infinity), 0);
  if (wanted.fault.length === 0) throw new Misuse('which fault? see --help');
  return each(
    wanted.fault.map((name) => name.split('+')),
    minutes,
  );
}

/** A fault a line, and where it can be had. */
export function list() {
  const width = Math.max(...Object.keys(FAULTS).map((name) => name.length));
  const line = (name) => `${name.padEnd(width)}  ${topologiesOf(name).join(' ')}`;
  return Object.keys(FAULTS).map(line).join('\n');
}
