// node-redis against the server in $RUNNEL_SERVER, in RESP2 and RESP3.

import assert from 'node:assert/strict';
import { createClient, createClientPool } from 'redis';
import { Server, runScenarios, sleep, until } from './harness.mjs';

const server = new Server();
await server.start();

const opened = async (RESP) => {
  const client = createClient({ url: `redis://127.0.0.1:${server.port}`, RESP, socket: { reconnectStrategy: 50 } });
  client.on('error', () => {}); // a restart is part of the scenarios
  return client.connect();
};

const another = async (client) => {
  const copy = client.duplicate();
  copy.on('error', () => {});
  return copy.connect();
};

async function basics({ client }) {
  await client.flushAll();
  assert.equal(await client.set('name', 'value', { EX: 100 }), 'OK');
  assert.equal(await client.set('name', 'x', { NX: true }), null);
  assert.equal(await client.get('name'), 'value');
  assert.equal(await client.incrBy('count', 42), 42);
  assert.deepEqual(await client.mGet(['name', 'none']), ['value', null]);
  assert.equal(await client.rPush('list', ['a', 'b', 'c']), 3);
  assert.deepEqual(await client.lRange('list', 0, -1), ['a', 'b', 'c']);
  assert.equal(await client.lPos('list', 'b'), 1);
  assert.equal(await client.type('list'), 'list');
  await assert.rejects(client.incr('list'), /WRONGTYPE/);
}

async function automaticPipelining({ client }) {
  await Promise.all(Array.from({ length: 5000 }, (_, at) => client.set(`p:${at}`, `${at}`)));
  const values = await Promise.all(Array.from({ length: 5000 }, (_, at) => client.get(`p:${at}`)));
  assert.deepEqual(values, Array.from({ length: 5000 }, (_, at) => `${at}`));
  const found = [];
  for await (const keys of client.scanIterator({ MATCH: 'p:49*', COUNT: 100 })) found.push(...keys);
  assert.equal(new Set(found).size, 111);
}

async function transactions({ client }) {
  assert.deepEqual(await client.multi().set('t', '1').incr('t').get('t').exec(), ['OK', 2, '2']);
  const rival = await another(client);
  await client.watch('t');
  await rival.set('t', 'changed');
  await assert.rejects(client.multi().set('t', 'lost').exec(), /watched keys has been changed/i);
  assert.equal(await client.get('t'), 'changed');
  rival.destroy();
}

async function poolContention({ RESP }) {
  const pool = createClientPool({ url: `redis://127.0.0.1:${server.port}`, RESP }, { minimum: 1, maximum: 6 });
  await pool.connect();
  const add = () => pool.execute(async (client) => {
    for (;;) {
      await client.watch('watched');
      const current = Number((await client.get('watched')) ?? 0);
      try {
        return await client.multi().set('watched', `${current + 1}`).exec();
      } catch (error) {
        if (!/watched keys/i.test(error.message)) throw error;
      }
    }
  });
  await pool.del('watched');
  await Promise.all(Array.from({ length: 60 }, add));
  assert.equal(await pool.get('watched'), '60');
  await pool.close();
}

async function publishing({ client }) {
  const subscriber = await another(client);
  const heard = [];
  await subscriber.subscribe('news', (message, channel) => heard.push(`${channel}=${message}`));
  await subscriber.pSubscribe('n*', (message, channel) => heard.push(`pattern ${channel}=${message}`));
  await subscriber.sSubscribe('shard', (message) => heard.push(`shard=${message}`));
  assert.equal(await client.publish('news', 'hello'), 2);
  assert.equal(await client.sPublish('shard', 's'), 1);
  await until('three messages', () => heard.length === 3);
  assert.deepEqual(heard.sort(), ['news=hello', 'pattern news=hello', 'shard=s']);
  await subscriber.unsubscribe('news');
  assert.equal(await client.publish('news', 'again'), 1);
  subscriber.destroy();
}

async function waiting({ client }) {
  const consumers = await Promise.all([1, 2, 3].map(() => another(client)));
  const taken = [];
  const loops = consumers.map(async (consumer) => {
    for (;;) {
      const job = await consumer.blPop(['jobs'], 5);
      if (job === null || job.element === 'stop') return;
      taken.push(job.element);
    }
  });
  for (let at = 0; at < 200; at++) await client.rPush('jobs', `job ${at}`);
  await until('all jobs are taken', () => taken.length === 200);
  await client.rPush('jobs', ['stop', 'stop', 'stop']);
  await Promise.all(loops);
  assert.equal(new Set(taken).size, 200);
  assert.equal(await consumers[0].blMove('none', 'other', 'LEFT', 'RIGHT', 0.1), null);
  consumers.forEach((consumer) => consumer.destroy());
}

async function restart({ client }) {
  const subscriber = await another(client);
  let heard;
  await subscriber.subscribe('after', (message) => { heard = message; });
  await server.kill();
  await until('the client has noticed', () => !client.isReady);
  const queued = client.set('queued', 'while away'); // sent when the connection is back
  await sleep(150);
  await server.start();
  assert.equal(await queued, 'OK');
  assert.equal(await client.get('queued'), 'while away');
  await until('the subscriber is back', async () => (await client.publish('after', 'again')) === 1);
  await until('it hears', () => heard === 'again');
  subscriber.destroy();
}

const scenarios = [basics, automaticPipelining, transactions, poolContention, publishing, waiting, restart];
const variants = [];
for (const RESP of [2, 3]) variants.push([`RESP${RESP}`, scenarios, { RESP, client: await opened(RESP) }]);
await runScenarios(server, variants);
