// Processes that try mutants (worker.mjs), and the patience with them. In: a job. Out: messages. Invariant: a process that uses
// its processor for long without a word, or says nothing for minutes, is ended; being stopped from outside for a while is no reason.
import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const PROGRAM = join(dirname(fileURLToPath(import.meta.url)), 'worker.mjs');
/** Seconds of processor time, or on the clock, without a message. */
const BUSY = Number(process.env.WEIR_MUTATION_BUSY ?? 40);
const SILENT = Number(process.env.WEIR_MUTATION_PATIENCE ?? 300);
const CLOCK_TICKS = 100;

/** Seconds of processor time that a process has used; undefined where the system does not tell. */
function processorTime(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
  } catch {
    return undefined;
  }
}

/** A process that has loaded test files; `send` asks it, and answers its last word: see worker.mjs, or `ended`. */
export class Worker {
  constructor(env) {
    this.child = fork(PROGRAM, { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    this.answer = () => undefined;
    this.ended = false;
    this.heard();
    this.child.on('message', (message) => {
      this.heard();
      if (message.word !== 'reading' && message.word !== 'running') this.answer(message);
    });
    this.child.on('exit', (code, signal) => {
      this.ended = true;
      clearInterval(this.timer);
      this.answer({ word: 'ended', why: `ended: ${signal ?? code}` });
    });
    this.timer = setInterval(() => this.look(), 2000);
  }

  heard() {
    this.silentSince = Date.now();
    this.usedThen = processorTime(this.child.pid) ?? 0;
  }

  look() {
    const used = (processorTime(this.child.pid) ?? 0) - this.usedThen;
    if (used > BUSY || Date.now() - this.silentSince > SILENT * 1000) this.child.kill('SIGKILL');
  }

  send(message) {
    return new Promise((resolve) => {
      if (this.ended) return resolve({ word: 'ended', why: 'ended before' });
      this.answer = resolve;
      this.heard();
      this.child.send(message);
    });
  }

  end() {
    return new Promise((resolve) => {
      if (this.ended) return resolve();
      this.child.on('exit', resolve);
      this.child.kill('SIGKILL');
    });
  }
}
