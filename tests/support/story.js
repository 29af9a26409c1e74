/**
 * A test here is a story about running processes. When it fails, the nodes' logs are printed; when
 * a sanitizer spoke meanwhile, it fails; when its file ends, nothing that it started lives on.
 */
import { after, test } from 'node:test';
import { nodes, startNode } from './node.js';
import { startRedis } from './redis.js';
import { within } from './wait.js';

/**
 * @param {string} name
 * @param {{ skip?: string | false, deadline?: number } | ((t: object) => Promise<void>)} options
 * @param {(t: object) => Promise<void>} [body]
 */
export function story(name, options, body = undefined) {
  if (body === undefined) return story(name, {}, options);
  const { deadline = 60_000, ...rest } = options;
  return test(name, rest, async (t) => {
    const before = new Map([...nodes].map((node) => [node, node.log.length]));
    try {
      await within(Promise.resolve(body(t)), `the end of "${name}"`, deadline);
      for (const node of nodes) node.checkLog();
    } catch (error) {
      printLogs(before);
      throw error;
    }
  });
}

function printLogs(before) {
  for (const node of nodes) {
    const lines = node.log.slice(before.get(node) ?? 0).split('\n');
    const shown = lines.slice(-60).map((line) => `  ${node.name}: ${line}`);
    console.error(`--- ${node.name} (${node.running ? 'running' : 'ended'})\n${shown.join('\n')}`);
  }
}

/** Runs each, also when one before it failed, then throws the first error. */
async function runAll(steps) {
  const results = await Promise.allSettled(steps.map((step) => step()));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}

/**
 * One Redis and n nodes on it, open to everybody, gone when `owner` (a test, or the file) ends.
 * @param {{ after: (fn: () => Promise<void>) => void }} owner
 * @param {{ nodes?: number, args?: string[], redis?: object }} [options]
 */
export async function startCluster(owner, options = {}) {
  const { nodes: count = 2, args = [], redis: redisOptions = {} } = options;
  const redis = await startRedis(redisOptions);
  const started = [];
  owner.after(async () => {
    try {
      await runAll(started.map((node) => () => node.stop()));
    } finally {
      await redis.stop();
    }
  });
  const open = ['--anonymous', '*', '--anonymous-publish', '*'];
  const start = async (more = [], settings = {}) => {
    const node = await startNode({ redis, args: [...open, ...args, ...more], ...settings });
    started.push(node);
    return node;
  };
  const all = await Promise.all(Array.from({ length: count }, () => start()));
  return {
    redis,
    nodes: all,
    /** One more node, with these flags besides; settings as for startNode(), e.g. its port. */
    startNode: start,
    /** FCALL freshet_publish; returns the position. */
    publish: (channel, data, ...words) => publish(redis, channel, data, ...words),
  };
}

/** A cluster for all stories of a file. */
export function startFileCluster(options) {
  return startCluster({ after }, options);
}

/** The long form of the contract: `words` are options like 'EVENT', 'tick'. */
export async function publish(redis, channel, data, ...words) {
  const key = `freshet:{${channel}}`;
  const once = words.findIndex((word) => /^once$/i.test(String(word)));
  const keys = [key, `${key}:log`];
  if (once >= 0) keys.push(`${key}:once:${words[once + 1]}`);
  const position = await redis.call(
    'FCALL',
    'freshet_publish',
    keys.length,
    ...keys,
    data,
    ...words,
  );
  return String(position);
}

/** Writes what freshet_publish writes, but tells nobody: a message lost on its way. */
export async function publishUnheard(redis, channel, data, position) {
  const key = `freshet:{${channel}}`;
  const fields = ['type', 'json', 'data', data, 'time', String(Date.now())];
  await redis.call('XADD', `${key}:log`, position, ...fields);
  await redis.call('HSET', key, 'version', String(versionOf(position)));
}

let channels = 0;

/** A channel name that no other story uses. */
export function channelName(word = 'channel') {
  channels += 1;
  return `${word}-${channels}`;
}

export const versionOf = (position) => Number(position.split('-')[1]);
export const epochOf = (position) => position.split('-')[0];
