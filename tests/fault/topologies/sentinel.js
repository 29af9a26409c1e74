/**
 * Three nodes on a master, a replica and three Sentinels with Sentinel's default settings but for
 * down-after (2 s), which is how long a test of a dead master has to wait. A Sentinel tells the real
 * address of the master, so no proxy can stand between it and the nodes: links are hit by Redis's
 * own means here (CLIENT KILL, CLIENT PAUSE, signals).
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '../../support/node.js';
import { eventually } from '../../support/wait.js';
import { RedisProcess, scratch } from '../processes.js';
import { LocalTopology } from './local.js';

const MASTER = 'main';

/** redis-server --sentinel, with a configuration file of its own, which it rewrites. */
class SentinelProcess extends RedisProcess {
  async start(name, port) {
    this.port = await freePort();
    const file = path.join(scratch, `${this.name}.conf`);
    writeFileSync(
      file,
      `port ${this.port}\nbind 127.0.0.1\ndir ${this.dir}\n` +
        `sentinel monitor ${name} 127.0.0.1 ${port} 2\n` +
        `sentinel down-after-milliseconds ${name} 2000\n`,
    );
    this.spawn('redis-server', [file, '--sentinel']);
    await this.answers('answers', () => this.isUp());
  }
}

export class WithSentinel extends LocalTopology {
  /** As the Sentinel with the newest epoch says. */
  async master() {
    const views = await Promise.allSettled(
      this.sentinels.map(async (sentinel) => {
        const fields = await sentinel.call('SENTINEL', 'MASTER', MASTER);
        const of = (name) => fields[fields.indexOf(name) + 1];
        return { port: Number(of('port')), epoch: Number(of('config-epoch')) };
      }),
    );
    const known = views.flatMap((view) => (view.status === 'fulfilled' ? [view.value] : []));
    const newest = known.reduce((best, view) => (view.epoch > best.epoch ? view : best));
    return this.redises.find((redis) => redis.port === newest.port) ?? this.redises[0];
  }

  async start() {
    const master = new RedisProcess('redis-a', ['--repl-diskless-sync-delay', '0']);
    await master.start();
    const of = ['--replicaof', '127.0.0.1', String(master.port)];
    const replica = new RedisProcess('redis-b', ['--repl-diskless-sync-delay', '0']);
    await replica.start({ args: of });
    this.redises = [master, replica];
    await eventually('the replica is in sync', async () =>
      (await replica.call('INFO', 'replication')).includes('master_link_status:up'),
    );
    for (let index = 0; index < 3; index += 1) this.sentinels.push(await this.#sentinel(index));
    await this.#sentinelsSay('know each other and the replica', ['CKQUORUM'], (answer) =>
      answer.startsWith('OK 3'),
    );
    await this.#sentinelsSay('know the replica', ['REPLICAS'], (list) => list.length === 1);
    const hosts = this.sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',');
    await this.startNodes(() => `redis+sentinel://${hosts}/${MASTER}`);
  }

  async #sentinel(index) {
    const sentinel = new SentinelProcess(`sentinel${index}`);
    await sentinel.start(MASTER, this.redises[0].port);
    return sentinel;
  }

  #sentinelsSay(what, question, isFine) {
    return eventually(`the Sentinels ${what}`, async () => {
      const ask = (sentinel) => sentinel.call('SENTINEL', ...question, MASTER);
      return (await Promise.all(this.sentinels.map(ask))).every(isFine);
    });
  }
}
