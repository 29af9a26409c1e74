/**
 * The experiment: for each fault a topology of its own, the load, the fault on and off, a history;
 * then the checker, and a table of all. See run.sh --help and README.md.
 */
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { checkFile } from './checker.js';
import { Context } from './context.js';
import { History, now } from './history.js';
import { Load } from './load.js';
import { Misuse, list, plan } from './plan.js';
import { createRandom } from './random.js';
import { printResult, table } from './report.js';
import { startTopology } from './topologies.js';
import { pause } from '../support/wait.js';

const WARM_UP_MS = 6000;
const SETTLE_MS = 10_000;
const WITNESS_MS = 20;
const LATE_MS = 100;

function options() {
  const { values } = parseArgs({
    options: {
      fault: { type: 'string', multiple: true, default: [] },
      compose: { type: 'boolean', default: false },
      all: { type: 'boolean', default: false },
      pairs: { type: 'boolean', default: false },
      short: { type: 'boolean', default: false },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 32)) },
      minutes: { type: 'string', default: '2' },
      cycle: { type: 'string', default: '20' },
      list: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      out: { type: 'string', default: 'build/fault' },
    },
  });
  return values;
}

/** On, off, on, off …: each fault of the pair with its own length, the second one a little later. */
async function cycles(context, { fault, minutes, cycleMs }) {
  const end = performance.now() + minutes * 60_000;
  do {
    await Promise.all(fault.names.map((name, at) => context.cycle(name, cycleMs, at * 1500)));
    await context.waitUntilReady();
    await pause(cycleMs);
  } while (performance.now() + cycleMs < end);
}

/** Where this process itself is late, the machine is too busy to measure times on. */
function watchOneself(history) {
  let last = now();
  return setInterval(() => {
    const late = now() - last - WITNESS_MS;
    last = now();
    if (late > LATE_MS) history.write('late', { ms: Math.round(late) });
  }, WITNESS_MS);
}

async function experiment(planned, { seed, file }) {
  const { fault } = planned;
  const random = createRandom(seed);
  const history = new History(file);
  const topology = await startTopology(fault.topology);
  const load = new Load({ topology, history, random: random.fork() });
  const isPair = fault.names.length > 1;
  const context = new Context({ topology, load, history, random: random.fork(), isPair });
  const witness = watchOneself(history);
  const { channels } = load;
  try {
    history.write('run', { ...fault, fault: fault.name, seed, channels, settle: SETTLE_MS });
    await context.baseline();
    await load.start();
    await pause(WARM_UP_MS);
    await cycles(context, planned);
    await load.settle(SETTLE_MS);
    await context.countCloses();
    load.stop();
    await context.residue();
  } finally {
    clearInterval(witness);
    load.stop();
    history.close();
    await topology.saveLogs(path.dirname(file));
    await topology.stop();
  }
}

async function runOne(planned, { seed, out, compose, keep }) {
  const directory = path.join(out, compose ? 'compose' : '', planned.fault.name);
  mkdirSync(directory, { recursive: true });
  const file = path.join(directory, `history-${seed}.jsonl`);
  await experiment(planned, { seed, file });
  const result = await checkFile(file);
  printResult(result);
  if (!result.ok || keep) console.log(`  its history: ${file}`);
  else rmSync(directory, { recursive: true });
  return result;
}

async function main() {
  const wanted = options();
  if (wanted.list) return void console.log(list());
  const seed = Number(wanted.seed) >>> 0;
  const planned = plan(wanted, createRandom(seed));
  if (wanted.check) return undefined; // before run.sh builds anything
  const end = wanted.pairs ? performance.now() + Number(wanted.minutes) * 60_000 : Infinity;
  const results = [];
  const unable = [];
  for (const one of planned) {
    if (performance.now() > end) break;
    try {
      results.push(await runOne(one, { ...wanted, seed }));
    } catch (error) {
      console.log(`\n${one.fault.name}, seed ${seed}: could not be run: ${error.stack}`);
      unable.push(one.fault.name);
    }
  }
  const isFine = results.every(({ ok }) => ok);
  console.log(`\n${table(results)}\n\nseed ${seed}: ${isFine ? 'ok' : 'FAILED'}`);
  if (unable.length > 0) console.log(`could not be run: ${unable.join(', ')}`);
  process.exitCode = !isFine ? 1 : unable.length > 0 ? 2 : 0;
  return undefined;
}

main().then(
  () => process.exit(),
  (error) => {
    const isMisuse = error instanceof Misuse || String(error.code).startsWith('ERR_PARSE_ARGS');
    console.error(`run.sh: ${isMisuse ? error.message : error.stack}`);
    process.exit(2);
  },
);
