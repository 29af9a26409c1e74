/** The client with tokens of a real node: expiry, renewal, what is refused. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { listen, live, missing, open, speaksWebSocket } from '../support/client.js';
import { runNode, startNode } from '../support/node.js';
import { channelName, startFileCluster, story, versionOf } from '../support/story.js';
import { eventually } from '../support/wait.js';

const KEY = 'a key for tests that is long enough: 0123456789abcdef';
const { stdout } = await runNode(['--help']);
const noGrants = stdout.includes('--auth-key') ? false : 'this node has no --auth-key';

const cluster = await startFileCluster({ nodes: 1 });
const { publish } = cluster;
const noWebSocket =
  missing || ((await speaksWebSocket(cluster.nodes[0].url)) ? false : 'this node has no /ws');

/** A token for all channels of `pattern`, for so many seconds. */
function sign(seconds, pattern = '*') {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const claims = { sub: 'test', exp, subscribe: [pattern], publish: [pattern] };
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`;
  return `${text}.${createHmac('sha256', KEY).update(text).digest('base64url')}`;
}

async function guarded(t) {
  const node = await startNode({ redis: cluster.redis, args: ['--auth-key', KEY] });
  t.after(() => node.stop());
  return node;
}

for (const transport of ['websocket', 'sse', 'long-poll', 'poll']) {
  const skip = noGrants || (transport === 'websocket' ? noWebSocket : false);
  const options = { transports: [transport], pollInterval: 50 };

  story(
    `${transport}: tokens end one after another; nothing lost or double`,
    { skip },
    async (t) => {
      const channel = channelName();
      const node = await guarded(t);
      let count = 0;
      const token = async () => {
        count += 1;
        return sign(4);
      };
      const { client, states } = open(t, node.url, { ...options, token });
      const { messages, resets } = await live(listen(client.subscribe(channel)));
      let n = 0;
      while (count < 3) {
        n += 1;
        assert.equal(versionOf(await client.publish(channel, n, { once: `once ${n}` })), n);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      await eventually('the last', () => messages.seen.at(-1)?.data === n);
      assert.deepEqual(
        messages.seen.map(({ data }) => data),
        Array.from({ length: n }, (_, at) => at + 1),
      );
      assert.equal(resets.seen.length, 0);
      assert.ok(
        states.every(({ state }) => state !== 'waiting'),
        'renewed before they ended',
      );
    },
  );

  story(
    `${transport}: a channel without a grant ends, one with it does not`,
    { skip },
    async (t) => {
      const node = await guarded(t);
      const channel = `mine.${channelName()}`;
      const { client } = open(t, node.url, { ...options, token: sign(60, 'mine.*') });
      const good = listen(client.subscribe(channel));
      const bad = client.subscribe(`other.${channelName()}`);
      await eventually('the end of the other', () => bad.state === 'ended');
      assert.equal(bad.error.code, 'forbidden');
      await live(good);
      await publish(channel, '1');
      assert.equal((await good.messages.next()).data, 1);
      await assert.rejects(client.publish('other.a', 1), { code: 'forbidden' });
    },
  );

  story(`${transport}: without a token, or with a forged one`, { skip }, async (t) => {
    const node = await guarded(t);
    for (const token of [undefined, `${sign(60).slice(0, -4)}AAAA`]) {
      const { client } = open(t, node.url, { ...options, token });
      const subscription = client.subscribe(channelName());
      await eventually('the end', () => subscription.state === 'ended', { deadline: 10_000 });
      assert.equal(subscription.error.code, 'token');
    }
  });
}
