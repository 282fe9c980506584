// Redlock, Bottleneck's token bucket and socket.io's adapter of streams against the server in $RUNNEL_SERVER, over a kill -9 and a restart.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-streams-adapter';
import Bottleneck from 'bottleneck';
import Redis from 'ioredis';
import Redlock from 'redlock';
import { Server as SocketServer } from 'socket.io';
import { io } from 'socket.io-client';
import { Server, runScenarios, sleep, until } from './harness.mjs';

const server = new Server('--appendonly', 'yes');
await server.start();

const opened = () => {
  const client = new Redis({ port: server.port, host: '127.0.0.1', retryStrategy: () => 50, maxRetriesPerRequest: null });
  client.on('error', () => {}); // a restart is part of the scenarios
  return client;
};
const restart = async () => {
  await server.kill();
  await sleep(100);
  await server.start();
};

async function lockOutlivesTheServer() {
  const [mine, other] = [opened(), opened()];
  const patient = new Redlock([mine], { retryCount: 200, retryDelay: 20, retryJitter: 10 });
  const impatient = new Redlock([other], { retryCount: 0 });
  patient.on('clientError', () => {});
  impatient.on('clientError', () => {});
  let lock = await patient.lock('locks:a', 20000);
  await assert.rejects(impatient.lock('locks:a', 1000), { name: 'LockError' });
  await restart();
  await assert.rejects(impatient.lock('locks:a', 1000), { name: 'LockError' });
  lock = await lock.extend(15000);
  await lock.unlock();
  await (await impatient.lock('locks:a', 1000)).unlock();
  await assert.rejects(lock.unlock(), { name: 'LockError' });
  const short = await patient.lock('locks:short', 150);
  const next = await patient.lock('locks:short', 1000); // waits until the first has run out
  assert.notEqual(short.value, next.value);
  await next.unlock();
  const several = await patient.lock(['locks:x', 'locks:y'], 1000);
  await assert.rejects(impatient.lock('locks:y', 1000), { name: 'LockError' });
  await several.unlock();
  mine.disconnect();
  other.disconnect();
}

async function lockExcludes() {
  let inside = 0;
  let most = 0;
  let turns = 0;
  await Promise.all(Array.from({ length: 8 }, async (_, who) => {
    const client = opened();
    const locks = new Redlock([client], { retryCount: 2000, retryDelay: 5, retryJitter: 5 });
    locks.on('clientError', () => {});
    for (let turn = 0; turn < 5; turn++) {
      const lock = await locks.lock('locks:shared', 10000);
      most = Math.max(most, ++inside);
      await sleep(2);
      inside--;
      turns++;
      if (who === 0 && turn === 2) await restart();
      await lock.unlock();
    }
    client.disconnect();
  }));
  assert.deepEqual([most, turns], [1, 40]);
}

// A bucket of three tokens that gets two every 250 ms, shared by two processes' worth of limiters.
async function bucketOfTokens() {
  const limiters = [1, 2].map(() => {
    const client = opened();
    const limiter = new Bottleneck({
      id: 'bucket', datastore: 'ioredis', clearDatastore: false, connection: new Bottleneck.IORedisConnection({ client }), timeout: 600000,
      reservoir: 3, reservoirIncreaseAmount: 2, reservoirIncreaseInterval: 250, reservoirIncreaseMaximum: 3, heartbeatInterval: 50,
    });
    limiter.on('error', () => {});
    return { client, limiter };
  });
  await Promise.all(limiters.map(({ limiter }) => limiter.ready()));
  const moments = [];
  const take = (at) => limiters[at % 2].limiter.schedule(async () => { moments.push(Date.now()); return at; });
  assert.deepEqual(await Promise.all(Array.from({ length: 11 }, (_, at) => take(at))), Array.from({ length: 11 }, (_, at) => at));
  assert.ok(moments.at(-1) - moments[0] >= 900, 'eight tokens came one after the other');
  for (const begin of moments) assert.ok(moments.filter((moment) => moment >= begin && moment < begin + 200).length <= 5);
  await restart();
  await until('the limiter answers', async () => (await limiters[0].client.ping()) === 'PONG');
  assert.ok((await limiters[0].limiter.currentReservoir()) <= 3);
  assert.equal(await limiters[0].limiter.done(), 11); // the bucket remembers what was taken before the restart
  assert.deepEqual(await Promise.all([1, 2, 3, 4, 5, 6].map(take)), [1, 2, 3, 4, 5, 6]);
  assert.equal(await limiters[1].limiter.done(), 17);
  await limiters[0].limiter.disconnect();
  limiters.forEach(({ client }) => client.disconnect());
}

async function socketsHearEachOther() {
  const nodes = await Promise.all([1, 2].map(async () => {
    const client = opened();
    const http = createServer();
    const sockets = new SocketServer(http, { adapter: createAdapter(client, { blockTimeInMs: 200, readCount: 50 }), connectionStateRecovery: {} });
    sockets.on('connection', (socket) => {
      socket.on('join', (room, done) => (socket.join(room), done()));
      socket.on('shout', (text) => sockets.emit('shouted', text));
    });
    await new Promise((done) => http.listen(0, '127.0.0.1', done));
    return { client, sockets, port: http.address().port };
  }));
  const ends = await Promise.all([nodes[0], nodes[1], nodes[1]].map((node) => new Promise((done) => {
    const end = io(`http://127.0.0.1:${node.port}`, { transports: ['websocket'] });
    end.heard = [];
    end.on('shouted', (text) => end.heard.push(text));
    end.on('connect', () => done(end));
  })));
  await new Promise((done) => ends[2].emit('join', 'room', done));
  await until('the nodes know each other', async () => (await nodes[0].sockets.fetchSockets()).length === 3);
  ends[0].emit('shout', 'one');
  await until('all heard', () => ends.every((end) => end.heard.includes('one')));
  await restart();
  await until('the clients are back', async () => (await Promise.all(nodes.map((node) => node.client.ping().catch(() => '')))).every((reply) => reply === 'PONG'));
  for (let at = 0; at < 100; at++) nodes[0].sockets.emit('shouted', `after ${at}`);
  nodes[0].sockets.to('room').emit('shouted', 'for the room');
  await until('all heard again', () => ends.every((end) => end.heard.includes('after 99')));
  await until('the room heard', () => ends[2].heard.includes('for the room'));
  const after = (end) => end.heard.filter((text) => text.startsWith('after'));
  for (const end of ends) assert.deepEqual(after(end), Array.from({ length: 100 }, (_, at) => `after ${at}`));
  assert.ok(!ends[1].heard.includes('for the room'));
  ends.forEach((end) => end.disconnect());
  for (const node of nodes) {
    await node.sockets.close();
    node.client.disconnect();
  }
}

await runScenarios(server, [['frameworks', [lockOutlivesTheServer, lockExcludes, bucketOfTokens, socketsHearEachOther]]]);
