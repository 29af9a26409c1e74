/**
 * A client that comes from a node ahead is not reset by a node behind: before anybody is told that
 * a message was lost, the Sentinels are asked.
 */
import assert from 'node:assert/strict';
import { poll, postJson } from '../support/clients.js';
import { open } from '../support/readers.js';
import { startRelay, startSentinels } from '../support/sentinel.js';
import { channelName, story, versionOf } from '../support/story.js';
import { eventually } from '../support/wait.js';

story(
  'a node that has not heard of the switch asks before it resets',
  { deadline: 120_000 },
  async (t) => {
    const set = await startSentinels(t, { sentinels: 1 });
    const relay = await startRelay(t, set.sentinels[0]);
    const ahead = await set.startNode();
    const behind = await set.startNode([], { url: set.urlOf([relay.port]) });
    const channel = channelName();
    const first = await postJson(ahead.url, '/publish', { channel, data: 1 });
    const since = first.json.position;
    // Both nodes hold the channel, at the same head.
    const readers = [ahead, behind].map(({ url }) =>
      open({ transport: 'stream', url, channels: [channel], since }),
    );
    t.after(() => readers.forEach((reader) => reader.close()));
    await Promise.all(readers.map((reader) => reader.ready()));
    relay.isDeaf = true;
    const { from, to } = await set.failover();
    const next = await eventually(
      'the node ahead publishes on the new master',
      async () => {
        const answer = await postJson(ahead.url, '/publish', { channel, data: 2 });
        assert.equal(answer.status, 200);
        return versionOf(answer.json.position) === 1 ? answer.json.position : null;
      },
      { every: 1 },
    );
    const wasBehind = (await set.reachedBy(behind)) === from;
    // What else it answers than "not yet" (503) is the answer.
    const response = await eventually('the node behind answers', async () => {
      const answer = await poll(behind.url, [channel], { since: next });
      return answer.status === 503 ? null : answer;
    });
    assert.equal(response.status, 200, response.text);
    assert.equal(response.json.resets, undefined, `reset by a node behind: ${response.text}`);
    assert.equal(response.json.cursor, next);
    assert.equal(await set.reachedBy(behind), to, 'it has followed');
    t.diagnostic(wasBehind ? 'it was behind indeed' : 'it had caught up by chance');
    for (const reader of readers) {
      await reader.takeUntil((message) => message.id === next);
    }
  },
);
