/** Finding the master: in whatever order things start, whoever is away, whatever is protected. */
import assert from 'node:assert/strict';
import { postJson } from '../support/clients.js';
import { freePort, runNode, startNode } from '../support/node.js';
import { startRedis } from '../support/redis.js';
import { MASTER_NAME, Sentinel, holds, inStep, startSentinels } from '../support/sentinel.js';
import { channelName, story } from '../support/story.js';
import { Tool, runTool } from '../support/tool.js';
import { eventually } from '../support/wait.js';

const LONG = { deadline: 120_000 };

/** What cluster/README.md says that a node needs of a Sentinel. */
const LEAST_RIGHTS = [
  ...['reset', 'on', '>p', '&+switch-master', '+auth', '+ping', '+info', '+role', '+subscribe'],
  ...['+client|setname', '+sentinel|master', '+sentinel|get-master-addr-by-name'],
];

/** Waits until /readyz of the admin port gives this reason. */
async function unreadyBecause(node, pattern) {
  await eventually(`not ready: ${pattern}`, async () => {
    const { status, json } = await node.admin('/readyz');
    assert.equal(status, 503);
    assert.match(json.reasons[0], pattern);
    return true;
  });
}

const sentinelsUp = (node, count) =>
  eventually(`${count} Sentinels are up`, async () => {
    return (await node.metrics()).get('freshet_sentinels_up') === count;
  });

async function assertPublishes(node, set, server) {
  const channel = channelName();
  const answer = await postJson(node.url, '/publish', { channel, data: 1 });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(await set.reachedBy(node), server);
  assert.equal(await server.call('EXISTS', `freshet:{${channel}}`), 1);
}

story('a node may start before the Sentinels do, and before the master', LONG, async (t) => {
  const set = await startSentinels(t, { isStarted: false });
  const [master, replica] = set.servers;
  const node = await set.startNode([], { ready: false });
  await unreadyBecause(
    node,
    /^no master is known: sentinel:\/\/127\.0\.0\.1:\d+: connection refused/,
  );
  await Promise.all([master, replica].map((server) => server.kill()));
  await Promise.all(set.sentinels.map((sentinel) => sentinel.start()));
  await sentinelsUp(node, 3);
  await unreadyBecause(node, /^the (command|pubsub) link to Redis is down: connection refused$/);
  await master.start();
  await node.ready();
  await assertPublishes(node, set, master);
});

story('with every Sentinel away the node keeps its master, and stays ready', LONG, async (t) => {
  const set = await startSentinels(t, { nodes: 1 });
  const [node] = set.nodes;
  await sentinelsUp(node, 3);
  await Promise.all(set.sentinels.map((sentinel) => sentinel.kill()));
  await sentinelsUp(node, 0);
  // Longer than any answer counts.
  await holds(5000, async () => assert.equal((await node.admin('/readyz')).status, 200));
  await assertPublishes(node, set, set.servers[0]);
  await Promise.all(set.sentinels.map((sentinel) => sentinel.start()));
  await sentinelsUp(node, 3);
  const { to } = await set.failover();
  await eventually('it follows again', async () => (await set.reachedBy(node)) === to);
});

story('one Sentinel that stands still, one that is gone, and the third tells', LONG, async (t) => {
  const set = await startSentinels(t, { quorum: 1 });
  const [stopped, gone, alive] = set.sentinels;
  await gone.kill();
  const node = await set.startNode();
  await stopped.kill('SIGSTOP');
  t.after(() => stopped.kill('SIGCONT'));
  await sentinelsUp(node, 1);
  const { to } = await set.failover([alive]); // by force: it asks nobody
  await eventually('it moves', async () => (await set.reachedBy(node)) === to);
  await node.ready();
});

story('a Sentinel that has not heard of a failover is never believed', LONG, async (t) => {
  const set = await startSentinels(t);
  const [a, b] = set.servers;
  await a.kill('SIGKILL');
  assert.equal(await set.switched(a), b);
  // It knows of nobody but a, so nobody tells it.
  const lines = [`sentinel monitor ${MASTER_NAME} 127.0.0.1 ${a.port} 1`];
  const stale = new Sentinel(await freePort(), lines);
  t.after(() => stale.stop());
  await stale.start();
  const [one, two] = set.sentinels;
  const url = set.urlOf([stale.port, one.port, two.port]);
  const node = await set.startNode([], { url });
  assert.equal(await set.reachedBy(node), b);
  await Promise.all(set.sentinels.map((sentinel) => sentinel.kill()));
  await sentinelsUp(node, 1);
  await a.start(); // as a master of its own
  assert.equal((await stale.master()).port, String(a.port));
  await b.kill('SIGKILL');
  await unreadyBecause(node, /link to Redis is down/);
  // It waits for the master that it knows, also when it might believe an older epoch.
  await holds(14_000, async () => assert.equal(await set.reachedBy(node), undefined));
  await b.start();
  await b.call('REPLICAOF', 'NO', 'ONE'); // it was started as a replica once
  await node.ready();
  assert.equal(await set.reachedBy(node), b);
});

story(
  'Sentinels that were set up anew, and count from 0, are followed in the end',
  LONG,
  async (t) => {
    const set = await startSentinels(t, { nodes: 1 });
    const [node] = set.nodes;
    const { from: a, to: b } = await set.failover();
    await eventually('it moves', async () => (await set.reachedBy(node)) === b);
    await Promise.all(set.sentinels.map((one) => one.call('SENTINEL', 'REMOVE', MASTER_NAME)));
    await b.call('REPLICAOF', '127.0.0.1', a.port);
    for (const one of set.sentinels) {
      await one.call('SENTINEL', 'MONITOR', MASTER_NAME, '127.0.0.1', a.port, 2);
    }
    await unreadyBecause(node, /this Redis is no master/);
    await eventually('it goes back', async () => (await set.reachedBy(node)) === a, LONG);
    await node.ready();
    await assertPublishes(node, set, a);
  },
);

story('passwords: of Redis, of the Sentinels; never one to the other', LONG, async (t) => {
  const secrets = { password: 'of redis/@1', sentinelPassword: 'of sentinel&2' };
  const set = await startSentinels(t, { nodes: 1, ...secrets });
  const [node] = set.nodes;
  await assertPublishes(node, set, set.servers[0]);
  const { to } = await set.failover();
  await eventually('it follows', async () => (await set.reachedBy(node)) === to);
  await node.ready();
  const mine = 'sentinel-user=least&sentinel-password=p';
  const url = set.urlOf().replace(/sentinel-password=.*/, mine);
  for (const one of set.sentinels) await one.call('ACL', 'SETUSER', 'least', ...LEAST_RIGHTS);
  const humble = await set.startNode([], { url });
  await sentinelsUp(humble, 3);
  assert.ok(!/NOPERM|link lost/.test(humble.log), humble.log);
  const wrong = set.urlOf().replace(/sentinel-password=.*/, 'sentinel-password=s3cret');
  const stranger = await set.startNode([], { url: wrong, ready: false });
  await unreadyBecause(stranger, /^no master is known: sentinel:\/\/127\.0\.0\.1:\d+: WRONGPASS/);
  const silent = await set.startNode([], { url: set.urlOf().replace(/\?.*/, ''), ready: false });
  await unreadyBecause(silent, /^no master is known: sentinel:\/\/127\.0\.0\.1:\d+: NOAUTH/);
  for (const { log } of set.nodes) {
    for (const secret of ['of redis', 'of%20redis', 'of sentinel', 'of%20sentinel', 's3cret']) {
      assert.ok(!log.includes(secret), `${secret} in the log`);
    }
  }
});

story('what is wrong with the option is said: in one line, or by /readyz', LONG, async (t) => {
  const set = await startSentinels(t);
  const [sentinel] = set.sentinels;
  const nobody = set.urlOf().replace(MASTER_NAME, 'nobody');
  const unknown = await set.startNode([], { url: nobody, ready: false });
  await unreadyBecause(unknown, /^no master is known: sentinel:\S+: it knows no master "nobody"$/);
  const url = `redis+sentinel://127.0.0.1:${set.servers[0].port}/${MASTER_NAME}`;
  const noSentinel = await set.startNode([], { url, ready: false });
  await unreadyBecause(noSentinel, /^no master is known: sentinel:\S+: this is no Sentinel$/);
  const noRedis = await set.startNode([], {
    url: `redis://127.0.0.1:${sentinel.port}`,
    ready: false,
  });
  await unreadyBecause(noRedis, /link to Redis is down: this is a Sentinel \(redis\+sentinel:/);
  const ports = ['--listen', String(await freePort()), '--admin', String(await freePort())];
  const { code, stderr } = await runNode(['--redis', 'redis+sentinel://:s3cret@a,b', ...ports]);
  assert.equal(code, 2);
  assert.match(stderr, /the master's name is missing \(redis\+sentinel:\/\/host,host\/NAME\)/);
  assert.ok(!stderr.includes('s3cret'), stderr);
  const database = await runNode(['--redis', 'redis+sentinel://a,b/name/2', '--check-config']);
  assert.match(database.stderr, /database 2 needs a --prefix of its own/);
});

story('masters by name, and by IPv6 address', LONG, async (t) => {
  const names = ['sentinel resolve-hostnames yes', 'sentinel announce-hostnames yes'];
  const named = await startSentinels(t, { host: 'localhost', lines: names, nodes: 1 });
  const [node] = named.nodes;
  assert.equal((await named.sentinels[0].master()).ip, 'localhost');
  await assertPublishes(node, named, named.servers[0]);
  const redis = await startRedis({ args: ['--bind', '127.0.0.1 ::1'], t });
  const lines = ['bind 127.0.0.1 ::1', `sentinel monitor ${MASTER_NAME} ::1 ${redis.port} 1`];
  const sentinel = new Sentinel(await freePort(), lines);
  t.after(() => sentinel.stop());
  await sentinel.start();
  const other = await startNode({
    redis: `redis+sentinel://[::1]:${sentinel.port}/${MASTER_NAME}`,
  });
  t.after(() => other.stop());
  assert.match(other.log, /the master of mymaster is ::1:/);
});

story('a replica is nobody to speak to: left at once, taken when it is a master', async (t) => {
  const [a, b] = [await startRedis({ t }), await startRedis({ t })];
  const node = await startNode({ redis: a.url, args: ['--anonymous-publish', '*'] });
  t.after(() => node.stop());
  await a.call('REPLICAOF', '127.0.0.1', b.port);
  await unreadyBecause(node, /this Redis is no master/);
  await unreadyBecause(node, /: this Redis is no master but a replica of 127\.0\.0\.1$/);
  const channel = channelName();
  assert.equal((await postJson(node.url, '/publish', { channel, data: 1 })).status, 503);
  await a.call('REPLICAOF', 'NO', 'ONE');
  await node.ready();
  assert.equal((await postJson(node.url, '/publish', { channel, data: 1 })).status, 200);
});

story('the tool asks Sentinel, too: publish, check, and a tail that lives on', LONG, async (t) => {
  const set = await startSentinels(t, { password: 'pw', sentinelPassword: 'of sentinel' });
  const redis = { url: set.urlOf() };
  const channel = channelName();
  const published = await runTool(['publish', channel, '1'], { redis });
  assert.equal(published.code, 0, published.stderr);
  await inStep(set.servers[1], set.servers[0]);
  const tail = new Tool(['tail', channel, '--json', '--since', '0'], { redis });
  t.after(() => tail.stop('SIGKILL').catch(() => {}));
  assert.equal((await tail.next()).data, 1);
  const { to } = await set.failover();
  const later = await runTool(['publish', channel, '2'], { redis });
  assert.equal(later.code, 0, later.stderr);
  assert.equal(await to.call('XLEN', `freshet:{${channel}}:log`), 2);
  assert.equal((await tail.next({ deadline: 60_000 })).data, 2);
  assert.equal((await runTool(['info', channel], { redis })).code, 0);
  const nobody = { url: set.urlOf().replace(MASTER_NAME, 'nobody') };
  const { code, stderr } = await runTool(['info', channel], { redis: nobody });
  assert.equal(code, 3);
  assert.match(stderr, /it knows no master "nobody"/);
  assert.ok(!/pw|of.sentinel/.test(stderr), stderr);
});
