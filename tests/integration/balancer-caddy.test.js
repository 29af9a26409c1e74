/** deploy/caddy/Caddyfile, told by its variables where the nodes are, in front of real ones. */
import assert from 'node:assert/strict';
import { tellBalancerStories } from '../support/balancer_stories.js';
import { deployText } from '../support/balancer.js';
import { caddyIsMissing, checkCaddy, formatCaddyfile, startCaddy } from '../support/caddy.js';
import { story } from '../support/story.js';

const skip = caddyIsMissing;

await tellBalancerStories({
  missing: skip,
  start: startCaddy,
  asksReadiness: true,
  repeatsPostedReads: false,
});

story('the file as it is passes caddy validate, and caddy fmt', { skip }, async () => {
  const { status, output } = checkCaddy();
  assert.equal(status, 0, output);
  assert.equal(formatCaddyfile().output, deployText('caddy/Caddyfile'));
});

story('who waits longest is not cut: polls of 60 s', { skip }, async () => {
  const [, seconds] = /^\t+response_header_timeout (\d+)s$/m.exec(deployText('caddy/Caddyfile'));
  assert.ok(Number(seconds) >= 65, `response_header_timeout ${seconds}s`);
});
