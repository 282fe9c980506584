// The server under test as a child process, and a runner that counts: shared by all that runs on Node.

import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export class Server {
  constructor(...options) {
    this.options = options;
  }

  async start() {
    this.port ??= await freePort();
    this.folder ??= mkdtempSync(path.join(os.tmpdir(), 'runnel-compat-'));
    this.child = spawn(process.env.RUNNEL_SERVER, ['--port', String(this.port), '--save', '', '--dir', this.folder, ...this.options], { stdio: 'ignore' });
    process.once('exit', () => this.child.kill('SIGKILL')); // whatever ends this process, the server ends too
    for (let tries = 0; tries < 250; tries++) {
      if (await listening(this.port)) return;
      await sleep(20);
    }
    throw new Error('the server did not start');
  }

  kill() {
    return new Promise((done) => {
      this.child.once('exit', done);
      this.child.kill('SIGKILL');
    });
  }
}

function freePort() {
  return new Promise((done) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => done(port));
    });
  });
}

function listening(port) {
  return new Promise((done) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => (socket.destroy(), done(true)));
    socket.once('error', () => done(false));
  });
}

export async function until(what, test, limitMs = 10000) {
  for (const end = Date.now() + limitMs; Date.now() < end; await sleep(10)) {
    if (await test()) return;
  }
  throw new Error(`waited in vain until ${what}`);
}

export async function runScenarios(server, variants) {
  let passed = 0;
  let failed = 0;
  for (const [label, scenarios, context] of variants) {
    for (const scenario of scenarios) {
      try {
        await Promise.race([scenario(context), sleep(30000).then(() => { throw new Error('took longer than 30 s'); })]);
        passed++;
      } catch (error) {
        failed++;
        console.log(`FAILED ${scenario.name} (${label}): ${error.stack}`);
      }
    }
  }
  await server.kill();
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}
