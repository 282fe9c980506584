// A worker that takes one job and never ends it: its process is killed by bullmq.mjs.

import { Worker } from 'bullmq';

new Worker('stalled', () => {
  process.send('taken');
  return new Promise(() => {});
}, { connection: { host: '127.0.0.1', port: Number(process.argv[2]) }, lockDuration: 600, stalledInterval: 300 });
