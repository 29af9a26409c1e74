/** deploy/nginx/freshet.conf with other nodes and ports, in front of real nodes. */
import assert from 'node:assert/strict';
import { tellBalancerStories } from '../support/balancer_stories.js';
import { checkNginx, nginxIsMissing, nginxText, startNginxBalancer } from '../support/nginx.js';
import { story } from '../support/story.js';

const skip = nginxIsMissing;

await tellBalancerStories({
  missing: skip,
  start: startNginxBalancer,
  asksReadiness: false,
  repeatsPostedReads: true,
});

story('the file as it is passes nginx -t without a warning', { skip }, async () => {
  const { status, output } = checkNginx();
  assert.equal(status, 0, output);
  assert.doesNotMatch(output, /\[(warn|error|emerg)\]/);
});

story('who waits longest is not cut: polls of 60 s, pings each 25 s', { skip }, async () => {
  const [, seconds] = /^ +proxy_read_timeout (\d+)s;$/m.exec(nginxText());
  assert.ok(Number(seconds) >= 65, `proxy_read_timeout ${seconds}s`);
});
