/** Three nodes on one Redis with its log on disk, and a proxy (proxy.js) on each node's way to it. */
import { RedisProcess } from '../processes.js';
import { startProxy } from '../proxy.js';
import { NODES } from '../topology.js';
import { LocalTopology } from './local.js';

export class Standalone extends LocalTopology {
  redisProxies = [];

  async start() {
    const redis = new RedisProcess('redis');
    this.redises = [redis];
    await redis.start();
    for (let index = 0; index < NODES; index += 1) {
      this.redisProxies.push(await startProxy(redis.address));
    }
    await this.startNodes((index) => `redis://127.0.0.1:${this.redisProxies[index].port}`);
  }

  async isLinked(node) {
    return this.redisProxies[node.index].isUp;
  }

  async stop() {
    await super.stop();
    for (const proxy of this.redisProxies) proxy.close();
  }
}
