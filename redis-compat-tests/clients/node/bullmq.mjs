// BullMQ against the server in $RUNNEL_SERVER: every kind of job over a kill -9 and a restart, and nothing lost.

import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { FlowProducer, Queue, QueueEvents, Worker } from 'bullmq';
import { Server, runScenarios, sleep, until } from './harness.mjs';

const server = new Server('--appendonly', 'yes');
await server.start();

const connection = () => ({ host: '127.0.0.1', port: server.port, retryStrategy: () => 50, maxRetriesPerRequest: null });
const opened = [];
const quiet = (part) => {
  part.on('error', () => {}); // a restart is part of the scenarios
  opened.push(part);
  return part;
};
const queue = (name) => quiet(new Queue(name, { connection: connection() }));
const worker = (name, process, options = {}) => quiet(new Worker(name, process, { connection: connection(), drainDelay: 1, ...options }));
const restart = async () => {
  await server.kill();
  await sleep(100);
  await server.start();
};
const closeAll = () => Promise.all(opened.splice(0).map((part) => part.close().catch(() => {})));

async function thousandJobs() {
  const jobs = queue('many');
  await jobs.addBulk(Array.from({ length: 1000 }, (_, at) => ({ name: 'sum', data: { at } })));
  const seen = new Map();
  const workers = [1, 2].map(() => worker('many', async (job) => {
    await sleep(2);
    seen.set(job.data.at, (seen.get(job.data.at) ?? 0) + 1);
    return job.data.at * 2;
  }, { concurrency: 20, lockDuration: 2000, stalledInterval: 500 }));
  await until('a part is done', () => seen.size >= 200);
  await restart();
  await until('all are done', async () => (await jobs.getCompletedCount()) === 1000, 20000);
  assert.equal(seen.size, 1000);
  assert.equal(workers.length, 2);
  const counts = await jobs.getJobCounts();
  assert.equal(counts.failed + counts.waiting + counts.active, 0);
  for (const job of await jobs.getCompleted(0, 9)) assert.equal(job.returnvalue, job.data.at * 2);
}

async function delayed() {
  const jobs = queue('delayed');
  await Promise.all(Array.from({ length: 20 }, (_, at) => jobs.add('later', { at }, { delay: 400 + at * 10 })));
  await restart();
  assert.equal(await jobs.getDelayedCount(), 20);
  const order = [];
  worker('delayed', async (job) => {
    assert.ok(Date.now() >= job.timestamp + job.opts.delay);
    order.push(job.data.at);
  });
  await until('all are done', () => order.length === 20);
  assert.deepEqual(order, Array.from({ length: 20 }, (_, at) => at));
}

async function priorities() {
  const jobs = queue('priorities');
  const wanted = Array.from({ length: 30 }, (_, at) => at + 1);
  const mixed = wanted.map((at) => (at * 7) % 31);
  for (const priority of mixed) await jobs.add('ranked', { priority }, { priority });
  await restart();
  const order = [];
  worker('priorities', async (job) => { order.push(job.data.priority); });
  await until('all are done', () => order.length === 30);
  assert.deepEqual(order, wanted);
}

async function repeating() {
  const jobs = queue('repeating');
  let runs = 0;
  worker('repeating', async () => { runs++; });
  await jobs.upsertJobScheduler('tick', { every: 100 }, { name: 'tick', data: { a: 1 } });
  await until('it has run', () => runs >= 3);
  await restart();
  const before = runs;
  assert.equal((await jobs.getJobSchedulers()).length, 1);
  await until('it runs again', () => runs >= before + 3);
  assert.equal(await jobs.removeJobScheduler('tick'), true);
  await until('nothing waits', async () => (await jobs.getDelayedCount()) === 0);
}

async function flows() {
  const flow = quiet(new FlowProducer({ connection: connection() }));
  const tree = await flow.add({
    name: 'root', queueName: 'flow', data: {},
    children: [1, 2, 3].map((branch) => ({
      name: 'branch', queueName: 'flow', data: { branch },
      children: [1, 2, 3].map((leaf) => ({ name: 'leaf', queueName: 'flow', data: { value: branch * 10 + leaf } })),
    })),
  });
  let leaves = 0;
  let gate;
  const held = new Promise((done) => { gate = done; });
  worker('flow', async (job) => {
    if (job.name === 'leaf') {
      if (++leaves === 4) await held;
      return job.data.value;
    }
    return Object.values(await job.getChildrenValues()).reduce((sum, value) => sum + value, 0);
  });
  await until('some leaves are done', () => leaves === 4);
  await restart();
  gate();
  const root = tree.job;
  await until('the root is done', async () => (await root.getState()) === 'completed', 15000);
  const again = await queue('flow').getJob(root.id);
  assert.equal(again.returnvalue, 3 * (10 + 20 + 30) + 3 * (1 + 2 + 3));
}

async function stalled() {
  const jobs = queue('stalled');
  const victim = fork(new URL('./bullmq-victim.mjs', import.meta.url), [String(server.port)]);
  const taken = new Promise((done) => victim.once('message', done));
  const job = await jobs.add('heavy', { a: 1 });
  await taken;
  victim.kill('SIGKILL');
  await restart();
  assert.equal(await job.getState(), 'active');
  let attempts = 0;
  worker('stalled', async () => { attempts++; return 'rescued'; }, { lockDuration: 600, stalledInterval: 300 });
  await until('it is done', async () => (await job.getState()) === 'completed');
  assert.equal(attempts, 1);
  assert.equal((await jobs.getJob(job.id)).returnvalue, 'rescued');
}

async function retries() {
  const jobs = queue('retries');
  const events = quiet(new QueueEvents('retries', { connection: connection() }));
  await events.waitUntilReady();
  const heard = [];
  events.on('completed', ({ jobId }) => heard.push(jobId));
  events.on('failed', ({ jobId }) => heard.push(`failed ${jobId}`));
  const tries = {};
  await jobs.add('flaky', {}, { jobId: 'f', attempts: 4, backoff: { type: 'fixed', delay: 300 } });
  await jobs.add('hopeless', {}, { jobId: 'h', attempts: 2 });
  worker('retries', async (job) => {
    tries[job.name] = (tries[job.name] ?? 0) + 1;
    if (job.name === 'hopeless' || job.attemptsMade < 2) throw new Error('not yet');
    return 'at last';
  });
  await until('the first tries failed', () => tries.flaky === 1 && tries.hopeless === 2);
  await restart();
  await until('both have ended', async () => (await jobs.getCompletedCount()) === 1 && (await jobs.getFailedCount()) === 1);
  assert.deepEqual(tries, { hopeless: 2, flaky: 3 });
  await until('it was heard', () => heard.includes('f') && heard.includes('failed h'));
  assert.equal((await jobs.getJob('h')).failedReason, 'not yet');
}

const each = [thousandJobs, delayed, priorities, repeating, flows, stalled, retries].map((scenario) => Object.defineProperty(async () => {
  await scenario();
  await closeAll();
}, 'name', { value: scenario.name }));
await runScenarios(server, [['BullMQ', each]]);
