// ioredis' Cluster against the server in $RUNNEL_SERVER as a cluster of one node. (A real Redis that is alone
// tells no address, which ioredis does not understand.)

import assert from 'node:assert/strict';
import Redis from 'ioredis';
import { Server, runScenarios, sleep, until } from './harness.mjs';

const server = new Server('--cluster-enabled', 'yes');
await server.start();
const alone = new Redis({ port: server.port, host: '127.0.0.1' });
await alone.cluster('ADDSLOTSRANGE', 0, 16383).catch(() => {}); // a real Redis, put here to test this, owns no slot until it is told to
await until('all slots are served', async () => (await alone.cluster('INFO')).includes('cluster_state:ok'));
alone.disconnect();

const cluster = new Redis.Cluster([{ port: server.port, host: '127.0.0.1' }], { clusterRetryStrategy: () => 50 });
cluster.on('error', () => {}); // a restart is part of the scenarios

async function basics() {
  await cluster.flushall();
  for (let at = 0; at < 200; at++) assert.equal(await cluster.set(`key:${at}`, at), 'OK');
  assert.equal(await cluster.get('key:199'), '199');
  assert.deepEqual(await cluster.mget('{t}a', '{t}b'), [null, null]);
  await assert.rejects(cluster.mget('a', 'b'), /CROSSSLOT/);
  assert.deepEqual(cluster.nodes('master').map((node) => node.options.port), [server.port]);
  assert.equal(await cluster.dbsize(), 200);
}

async function pipelines() {
  const replies = await cluster.pipeline(Array.from({ length: 300 }, (_, at) => ['incr', `{p}${at % 3}`])).exec();
  assert.deepEqual(replies.at(-1), [null, 100]);
  const transaction = await cluster.multi().set('{m}a', 1).incr('{m}a').exec();
  assert.deepEqual(transaction, [[null, 'OK'], [null, 2]]);
}

async function scripts() {
  cluster.defineCommand('twice', { numberOfKeys: 1, lua: 'return {redis.call("incr", KEYS[1]), redis.call("incr", KEYS[1])}' });
  assert.deepEqual(await cluster.twice('counter'), [1, 2]);
}

async function shardedChannels() {
  const listener = new Redis({ port: server.port, host: '127.0.0.1' });
  let heard;
  listener.on('smessage', (channel, message) => (heard = `${channel} ${message}`));
  await listener.ssubscribe('shard');
  assert.equal(await cluster.spublish('shard', 'hello'), 1);
  await until('it is heard', () => heard === 'shard hello');
  listener.disconnect();
}

async function restart() {
  await server.kill();
  await sleep(200);
  await server.start();
  await until('it answers again', () => cluster.set('back', 1).then((reply) => reply === 'OK', () => false));
}

await runScenarios(server, [['cluster', [basics, pipelines, scripts, shardedChannels, restart]]]);
