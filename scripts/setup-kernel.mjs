// Installs what the kernel engine is built and tested with, from the packages of Debian or Ubuntu, and builds it.
// Run by the user whose checkout it is: apt alone is run through sudo, and what is built is the user's; run through sudo as a
// whole it builds as who called sudo. Does nothing that is done already; says what it will do before it does it. --dry-run only
// says it; --packages installs and builds nothing; --lab also installs what the live lab needs. Exit code 2: cannot be set up.
import { spawnSync } from 'node:child_process';
import { accessSync, chmodSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { bpfClang } from './bpf-compiler.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const dryRun = process.argv.includes('--dry-run');
const LIBBPF = '1.1';

function say(text) {
  process.stdout.write(`${text}\n`);
}

function leave(text) {
  process.stderr.write(`setup:kernel: ${text}\n`);
  process.exit(2);
}

const onPath = (name) =>
  // Where root looks, and where others often do not.
  [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'].some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
const packaged = (...args) => onPath('pkg-config') && spawnSync('pkg-config', args, { stdio: 'ignore' }).status === 0;

/** What is needed, the package that has it, and whether it is here. */
const NEEDS = [
  ['a C++ compiler', 'g++', () => onPath('c++') || onPath('g++')],
  ['cmake', 'cmake', () => onPath('cmake')],
  ['ninja or make', 'ninja-build', () => onPath('ninja') || onPath('make')],
  ['pkg-config', 'pkg-config', () => onPath('pkg-config')],
  ['clang, which compiles the programs', 'clang', () => bpfClang() !== undefined],
  [`libbpf ${LIBBPF} or newer, with headers`, 'libbpf-dev', () => packaged('--exists', `libbpf >= ${LIBBPF}`)],
  ['ip, which makes network namespaces for tests', 'iproute2', () => onPath('ip')],
  ['unshare and mount', 'util-linux', () => onPath('unshare')],
];
const LAB = [
  ['curl, the lab’s client', 'curl', () => onPath('curl')],
  ['nginx, the lab’s server', 'nginx-light', () => onPath('nginx')],
  ['tcpdump, which records in the lab', 'tcpdump', () => onPath('tcpdump')],
  ['ethtool, which turns offloads off', 'ethtool', () => onPath('ethtool')],
  ['sysctl', 'procps', () => onPath('sysctl')],
];

if (process.platform !== 'linux') leave(`the kernel engine needs Linux; this is ${process.platform}`);
const missing = [...NEEDS, ...(process.argv.includes('--lab') ? LAB : [])].filter(([, , here]) => !here());
if (missing.length > 0) {
  if (!onPath('apt-get'))
    leave(`no apt-get here: install ${missing.map(([what]) => what).join('; ')} yourself, then npm run build:native`);
  const packages = missing.map(([, name]) => name);
  const install = ['apt-get', 'install', '-y', '--no-install-recommends', ...packages];
  say('Will run, to get what is missing:');
  for (const [what, name] of missing) say(`  ${name}: ${what}`);
  say(`  $ apt-get update\n  $ ${install.join(' ')}`);
  if (!dryRun) {
    if (process.getuid() === 0) {
      const failed = apt(install);
      if (failed !== undefined) leave(`${failed} failed (its words are above)`);
    } else if (!onPath('sudo'))
      leave(`installing needs root: apt-get update && ${install.join(' ')}; then run this again`);
    else {
      // This script again, by the path of this Node.js: sudo's PATH may have another one or none.
      const again = [process.execPath, fileURLToPath(import.meta.url), '--packages', ...process.argv.slice(2)];
      say(`  as root: $ sudo ${again.join(' ')}`);
      if (spawnSync('sudo', again, { stdio: 'inherit' }).status !== 0) leave('installing failed (its words are above)');
    }
  }
} else say('Everything that is needed is installed.');
if (process.argv.includes('--packages')) process.exit(0);
say('Will build the native parts into build-cmake/Release (npm run build:native).');
if (dryRun) process.exit(0);

/**
 * Packages must not start their servers: a policy that says no lies there meanwhile, unless one lies there already. What
 * failed, or undefined. While it runs, an interrupt goes to apt and ends this through its status.
 */
function apt(install) {
  const policy = '/usr/sbin/policy-rc.d';
  const ours = !existsSync(policy);
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => undefined);
  if (ours) {
    writeFileSync(policy, '#!/bin/sh\nexit 101\n');
    chmodSync(policy, 0o755);
  }
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    for (const [command, ...args] of [['apt-get', 'update', '-q'], install]) {
      if (spawnSync(command, args, { stdio: ['ignore', 2, 2], env }).status !== 0) return `${command} ${args[0]}`;
    }
  } finally {
    // Whatever happened: with that file left behind nothing that is installed later would start.
    if (ours) rmSync(policy, { force: true });
  }
  return undefined;
}

if (!packaged('--exists', `libbpf >= ${LIBBPF}`))
  leave(`this system’s libbpf is older than ${LIBBPF}: Debian 12, Ubuntu 24.04 and newer have one that will do`);
/** Through sudo: who called it, so that nothing in the checkout becomes root's. */
function caller() {
  const [uid, gid] = [process.env.SUDO_UID, process.env.SUDO_GID].map(Number);
  if (process.getuid() !== 0 || !(uid > 0) || !(gid >= 0)) return {};
  const home = /^(?:[^:]*:){5}([^:]*)/.exec(
    spawnSync('getent', ['passwd', `${uid}`], { encoding: 'utf8' }).stdout ?? '',
  );
  return { uid, gid, env: { ...process.env, ...(home === null ? {} : { HOME: home[1] }) } };
}
const asUser = { stdio: 'inherit', ...caller() };
// A checkout may be a fresh one; as a dependency the package is whole.
const ensure = join(root, 'scripts', 'ensure.mjs');
if (existsSync(ensure) && spawnSync(process.execPath, [ensure], asUser).status !== 0) process.exit(1);
const built = spawnSync(process.execPath, [join(root, 'scripts', 'install-native.mjs'), '--required'], asUser);
if (built.status !== 0) process.exit(1);
const engine = join(root, 'dist', 'src', 'dataplane', 'xdp', 'index.js');
if (existsSync(engine)) {
  const { kernelUnavailable } = await import(pathToFileURL(engine).href);
  const lacking = kernelUnavailable();
  say(lacking === undefined ? 'The kernel engine can run here.' : `Built, but: ${lacking.reason}`);
}
