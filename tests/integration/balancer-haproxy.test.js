/** deploy/haproxy/haproxy.cfg, as users run it, in front of real nodes. */
import assert from 'node:assert/strict';
import { checkHaproxy, haproxyIsMissing, haproxyText, startHaproxy } from '../support/haproxy.js';
import { tellBalancerStories } from '../support/balancer_stories.js';
import { startBreaker } from '../support/breaker.js';
import { request } from '../support/http.js';
import { story } from '../support/story.js';

const skip = haproxyIsMissing;

await tellBalancerStories({
  missing: skip,
  start: (owner, urls) => startHaproxy(owner, urls, { tls: true }),
  asksReadiness: true,
  repeatsPostedReads: true,
});

story('the file as it is passes haproxy -c without a warning', { skip }, async () => {
  const { status, output } = checkHaproxy();
  assert.equal(status, 0, output);
});

story('it starts where few files may be open, and answers', { skip }, async (t) => {
  const breaker = await startBreaker(t);
  const front = await startHaproxy(t, [breaker.url], { files: 256 });
  assert.equal((await request(front.url, '/readyz')).status, 200);
});

story('who waits longest is not cut: polls of 60 s, pings each 25 s', { skip }, async () => {
  for (const name of ['client', 'server', 'tunnel']) {
    const [, seconds] = new RegExp(`^ +timeout ${name} (\\d+)s$`, 'm').exec(haproxyText());
    assert.ok(Number(seconds) >= 65, `timeout ${name} ${seconds}s`);
  }
});
