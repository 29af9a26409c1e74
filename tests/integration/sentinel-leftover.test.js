/**
 * Sentinels that were never told of each other: one that is left over from earlier, with a newer
 * epoch than those that watch the master now, and one that is behind. Each story has two that agree.
 */
import assert from 'node:assert/strict';
import { postJson } from '../support/clients.js';
import { freePort } from '../support/node.js';
import { startRedis } from '../support/redis.js';
import { MASTER_NAME, Sentinel, holds, startSentinels } from '../support/sentinel.js';
import { channelName, story } from '../support/story.js';
import { eventually } from '../support/wait.js';

const LONG = { deadline: 120_000 };

/** Longer than a node waits for the proof of one master before it believes most of the Sentinels. */
const PATIENCE_MS = 14_000;

const urlOf = (sentinels, set) => set.urlOf(sentinels.map((sentinel) => sentinel.port));

/** A Sentinel that knows of nobody but this server, and does not mind when it is away. */
async function startLoneSentinel(t, server, epoch) {
  const lines = [
    `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${server.port} 1`,
    `sentinel down-after-milliseconds ${MASTER_NAME} 600000`,
    `sentinel config-epoch ${MASTER_NAME} ${epoch}`,
  ];
  const sentinel = new Sentinel(await freePort(), lines);
  t.after(() => sentinel.stop());
  await sentinel.start();
  assert.equal((await sentinel.master())['config-epoch'], String(epoch));
  return sentinel;
}

const reaches = (set, node, server, settings) =>
  eventually(
    `${node.name} reaches ${server.port}`,
    async () => (await set.reachedBy(node)) === server,
    settings,
  );

/** In whatever order they answer: at first the node may be elsewhere for a moment. */
const isGivenUp = (node, sentinel) =>
  eventually(
    `the word of ${sentinel.port} is given up`,
    () => node.log.includes(`is given up: only sentinel://127.0.0.1:${sentinel.port} names it`),
    LONG,
  );

async function publishes(node) {
  const answer = await postJson(node.url, '/publish', { channel: channelName(), data: 1 });
  assert.equal(answer.status, 200, answer.text);
}

/** No link to this server, and none on its way. */
async function isLeftAlone(server) {
  const clients = await server.call('CLIENT', 'LIST');
  assert.ok(!clients.includes(' name=freshet:'), clients);
}

story('a Sentinel left over names a dead master: most are believed, and go on', LONG, async (t) => {
  const old = await startSentinels(t, { sentinels: 1 });
  const [leftover] = old.sentinels;
  await old.failover();
  await old.failover();
  await Promise.all(old.servers.map((server) => server.kill()));
  assert.equal((await leftover.master())['config-epoch'], '2');
  const set = await startSentinels(t, { sentinels: 2 });
  const [alive] = set.servers;
  assert.equal((await set.sentinels[0].master())['config-epoch'], '0');
  const url = urlOf([leftover, ...set.sentinels], set);
  const node = await set.startNode([], { url, ready: false });
  await isGivenUp(node, leftover);
  await reaches(set, node, alive);
  await node.ready();
  const switches = async () => (await node.metrics()).get('freshet_redis_switches_total');
  const before = await switches();
  await holds(PATIENCE_MS, () => publishes(node));
  assert.equal(await switches(), before);
  // Their next epoch is still older than the one left over.
  const told = await set.nextSwitch(t);
  const switched = set.failover();
  const toldAt = await told.at;
  const to = set.servers[1];
  await reaches(set, node, to, { every: 5 });
  const took = Date.now() - toldAt;
  assert.ok(took < 2000, `the node moved ${took} ms after the switch was told`);
  assert.equal((await switched).to, to);
  // Nor is it believed when it was away and comes back.
  await node.ready();
  await leftover.kill();
  await holds(5000, () => publishes(node)); // longer than an answer counts
  await leftover.start();
  await holds(5000, () => publishes(node));
  assert.equal(await set.reachedBy(node), to);
});

story('a master given up that was only slow to start is found, and followed', LONG, async (t) => {
  const set = await startSentinels(t, { sentinels: 2 });
  const [present] = set.servers;
  const late = await startRedis({ t });
  const ahead = await startLoneSentinel(t, late, 7);
  await late.kill();
  const url = urlOf([ahead, ...set.sentinels], set);
  const node = await set.startNode([], { url, ready: false });
  set.servers.push(late); // so that reachedBy asks it
  await isGivenUp(node, ahead);
  await reaches(set, node, present);
  await node.ready();
  const replica = await startRedis({ port: late.port, t, args: ['--replicaof', `127.0.0.1 1`] });
  await holds(5000, () => publishes(node)); // a replica proves nothing
  assert.equal(await set.reachedBy(node), present);
  await replica.kill();
  await late.start();
  await reaches(set, node, late);
  await node.ready();
  await publishes(node);
});

story('a master away for a while, an old one alive that most do not name', LONG, async (t) => {
  const [old, present] = [await startRedis({ t }), await startRedis({ t })];
  const behind = await startLoneSentinel(t, old, 3);
  const sentinels = [
    await startLoneSentinel(t, present, 4),
    await startLoneSentinel(t, present, 4),
  ];
  const set = await startSentinels(t, { replicas: 0, isStarted: false });
  set.servers.push(old, present);
  const node = await set.startNode([], { url: urlOf([behind, ...sentinels], set) });
  await reaches(set, node, present);
  await present.kill('SIGSTOP');
  await eventually('it is missed', async () => (await node.admin('/readyz')).status === 503);
  await holds(PATIENCE_MS, () => isLeftAlone(old));
  // Nor when only the one that is behind is left to ask.
  await Promise.all(sentinels.map((sentinel) => sentinel.kill()));
  await holds(PATIENCE_MS, () => isLeftAlone(old));
  await present.kill('SIGCONT');
  await reaches(set, node, present);
  await node.ready();
});
