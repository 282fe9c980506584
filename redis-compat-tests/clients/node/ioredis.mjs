// ioredis against the server in $RUNNEL_SERVER: offline queue, automatic resubscription, Lua commands, pipelines.

import assert from 'node:assert/strict';
import Redis from 'ioredis';
import { Server, runScenarios, sleep, until } from './harness.mjs';

const server = new Server();
await server.start();

const opened = (options = {}) => {
  const client = new Redis({ port: server.port, host: '127.0.0.1', retryStrategy: () => 50, maxRetriesPerRequest: null, ...options });
  client.on('error', () => {}); // a restart is part of the scenarios
  return client;
};
const client = opened();

async function basics() {
  await client.flushall();
  assert.equal(await client.set('name', 'value', 'EX', 100), 'OK');
  assert.equal(await client.set('name', 'x', 'NX'), null);
  assert.deepEqual(await client.getBuffer('name'), Buffer.from('value'));
  assert.equal(await client.set('bytes', Buffer.from([0, 255, 13, 10])), 'OK');
  assert.deepEqual(await client.getBuffer('bytes'), Buffer.from([0, 255, 13, 10]));
  assert.deepEqual(await client.mget('name', 'none'), ['value', null]);
  assert.equal(await client.rpush('list', 'a', 'b', 'c'), 3);
  assert.deepEqual(await client.lrange('list', 0, -1), ['a', 'b', 'c']);
  await assert.rejects(client.incr('list'), /WRONGTYPE/);
  assert.match(await client.info('server'), /redis_version:\d/);
}

async function pipelines() {
  const pipeline = client.pipeline();
  for (let at = 0; at < 5000; at++) pipeline.set(`p:${at}`, at);
  assert.ok((await pipeline.exec()).every(([error, reply]) => error === null && reply === 'OK'));
  const automatic = opened({ enableAutoPipelining: true });
  const values = await Promise.all(Array.from({ length: 2000 }, (_, at) => automatic.get(`p:${at}`)));
  assert.deepEqual(values, Array.from({ length: 2000 }, (_, at) => `${at}`));
  automatic.disconnect();
  let found = 0;
  for await (const keys of client.scanStream({ match: 'p:49*', count: 100 })) found += keys.length;
  assert.ok(found >= 111);
}

async function transactions() {
  assert.deepEqual(await client.multi().set('t', 1).incr('t').exec(), [[null, 'OK'], [null, 2]]);
  assert.equal(await client.multi({ pipeline: false }), 'OK');
  await client.set('t', 5);
  assert.deepEqual(await client.exec(), [[null, 'OK']]);
  const rivals = await Promise.all(Array.from({ length: 6 }, async () => {
    const own = opened();
    for (let done = 0; done < 10;) {
      await own.watch('watched');
      const current = Number((await own.get('watched')) ?? 0);
      if (await own.multi().set('watched', current + 1).exec()) done++;
    }
    own.disconnect();
  }));
  assert.equal(rivals.length, 6);
  assert.equal(await client.get('watched'), '60');
}

async function publishing() {
  const subscriber = opened();
  const heard = [];
  subscriber.on('message', (channel, message) => heard.push(`${channel}=${message}`));
  subscriber.on('pmessage', (pattern, channel, message) => heard.push(`${pattern} ${channel}=${message}`));
  assert.equal(await subscriber.subscribe('news', 'olds'), 2);
  assert.equal(await subscriber.psubscribe('n*'), 3);
  assert.equal(await client.publish('news', 'hello'), 2);
  await until('two messages', () => heard.length === 2);
  assert.deepEqual(heard.sort(), ['n* news=hello', 'news=hello']);
  assert.equal(await subscriber.unsubscribe('news', 'olds'), 1);
  subscriber.disconnect();
}

async function waiting() {
  const taken = [];
  const loops = [1, 2, 3].map(async () => {
    const consumer = opened();
    for (;;) {
      const job = await consumer.blpop('jobs', 5);
      if (job === null || job[1] === 'stop') break;
      taken.push(job[1]);
    }
    consumer.disconnect();
  });
  for (let at = 0; at < 200; at++) await client.rpush('jobs', `job ${at}`);
  await until('all jobs are taken', () => taken.length === 200);
  await client.rpush('jobs', 'stop', 'stop', 'stop');
  await Promise.all(loops);
  assert.equal(new Set(taken).size, 200);
}

async function luaCommands() {
  client.defineCommand('setIfLonger', { numberOfKeys: 1, lua: "local old = redis.call('get', KEYS[1]) if not old or #ARGV[1] > #old then redis.call('set', KEYS[1], ARGV[1]) return 1 end return 0" });
  await client.del('longest');
  assert.equal(await client.setIfLonger('longest', 'abc'), 1);
  assert.equal(await client.setIfLonger('longest', 'ab'), 0);
  assert.equal(await client.get('longest'), 'abc');
}

async function restart() {
  const subscriber = opened();
  let heard;
  subscriber.on('message', (_, message) => { heard = message; });
  await subscriber.subscribe('after');
  await server.kill();
  await until('the client has noticed', () => client.status !== 'ready');
  const queued = client.set('queued', 'while away'); // the offline queue holds it
  await sleep(150);
  await server.start();
  assert.equal(await queued, 'OK');
  await until('the subscriber is back', async () => (await client.publish('after', 'again')) === 1);
  await until('it hears', () => heard === 'again');
  subscriber.disconnect();
}

await runScenarios(server, [['RESP2', [basics, pipelines, transactions, publishing, waiting, luaCommands, restart]]]);
