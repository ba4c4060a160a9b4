// `weir service list` and `weir bpf … list` as a user runs them: from manifests, as one node's agent has them, and from snapshots,
// sound and broken. Input: manifests, folders. Output: standard output, standard error, exit codes.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { balanced, endpoint, NODE, slice } from '../support/service-scenario.ts';
import { type CliRun, weir } from '../support/run-cli.ts';

const OPTIONS = ['--set', 'kubeProxyReplacement=true', '--set', 'maglev.tableSize=251'];
const CLUSTER = [
  NODE,
  balanced(', externalTrafficPolicy: Local'),
  slice('shop-1', [
    endpoint('10.61.1.4', '1/1/0', 'n-home'),
    endpoint('10.61.1.5', '0/1/1', 'n-home'),
    endpoint('10.61.2.4', '1/1/0', 'n-east'),
  ]),
].join('\n---\n');
const LISTS = ['lb', 'maglev', 'affinity', 'ct', 'nat', 'ipcache', 'policy', 'metrics'];

let folder = '';
let manifests = '';
let dump = '';
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'weir-lists-'));
  manifests = join(folder, 'cluster.yaml');
  writeFileSync(manifests, CLUSTER);
  dump = join(folder, 'dump');
  const capture = 'fixtures/demo/shop.pcapng';
  const run = await weir(['replay', capture, '-m', manifests, ...OPTIONS, '-o', 'none', '--dump-maps', dump]);
  assert.equal(run.code, 0, run.stderr);
});
after(() => rmSync(folder, { recursive: true, force: true }));

const compiled = (node?: string): Promise<CliRun> =>
  weir(['bpf', 'lb', 'list', '-m', manifests, ...OPTIONS, ...(node === undefined ? [] : ['--node', node])]);
const rowsOf = ({ stdout }: CliRun, frontend: string): string[] =>
  stdout
    .split('\n')
    .filter((line) => line.startsWith(`${frontend} `))
    .map((line) =>
      line
        .replace(/^\S+ +/, '')
        .replace(/ +/g, ' ')
        .replace(/\(\d+\) (?=\(\d+\))/, ''),
    );

describe('from manifests', () => {
  it('the whole cluster: backends of every node, and a warning says so', async () => {
    const run = await compiled();
    assert.deepEqual([run.code, rowsOf(run, '203.0.113.20:8000/TCP').length], [0, 4]);
    assert.match(run.stderr, /warning: .*traffic policy Local/);
  });
  it('--node: as its agent has them', async () => {
    const run = await compiled('n-home');
    assert.deepEqual([run.code, run.stderr], [0, '']);
    assert.deepEqual(rowsOf(run, '203.0.113.20:8000/TCP'), [
      '(0) 0.0.0.0:0 (0) [LoadBalancer, Local, two-scopes]',
      '(1) 10.61.1.4:8080/TCP (1)',
      '(2) 10.61.1.5:8080/TCP (2)',
    ]);
    assert.equal(rowsOf(run, '203.0.113.20:8000/TCP/i').length, 4);
    assert.equal(rowsOf(run, '172.20.7.10:8000/TCP').length, 4);
  });
  it('--node of what only slices name, and of nobody', async () => {
    const run = await compiled('n-east');
    assert.deepEqual([run.code, rowsOf(run, '203.0.113.20:8000/TCP').length], [0, 2]);
    const none = await compiled('n-nowhere');
    assert.deepEqual([none.code, none.stderr], [2, 'weir: --node n-nowhere: the manifests hold no such node\n']);
  });
});

describe('written by replay', () => {
  const write = (into: string): Promise<CliRun> =>
    weir(['replay', 'fixtures/demo/shop.pcapng', '-m', manifests, ...OPTIONS, '-o', 'none', '--dump-maps', into]);
  it('a link in the folder is replaced, what it leads to is not written to', async () => {
    const into = join(folder, 'linked');
    const precious = join(folder, 'precious');
    mkdirSync(into);
    writeFileSync(precious, 'kept');
    symlinkSync(precious, join(into, 'weir_services4.json'));
    symlinkSync(precious, join(into, 'weir_nat4.json'));
    assert.equal((await write(into)).code, 0);
    assert.equal(readFileSync(precious, 'utf8'), 'kept');
    assert.equal(readFileSync(join(into, 'weir_services4.json'), 'utf8').slice(0, 7), '{"map":');
    assert.equal(existsSync(join(into, 'weir_nat4.json')), false);
  });
  for (const name of ['weir_services4.json', 'weir_nat4.json']) {
    it(`a folder in the place of ${name}`, async () => {
      const into = mkdtempSync(join(folder, 'taken-'));
      mkdirSync(join(into, name));
      const run = await write(into);
      assert.equal(run.code, 2);
      assert.ok(run.stderr.endsWith(`weir: ${join(into, name)}: cannot be written: it is a directory\n`), run.stderr);
    });
  }
  it('a folder that cannot be made is told before anything is judged', async () => {
    const run = await write(manifests);
    const wanted = `weir: ${manifests}: cannot be made: it exists and is no directory\n`;
    assert.deepEqual([run.code, run.stderr.endsWith(wanted)], [2, true]);
    assert.doesNotMatch(run.stderr, /FORWARDED|packets,/);
  });
});

describe('from snapshots', () => {
  /** A folder with the services' map made otherwise. */
  const broken = (make: (path: string) => void): string => {
    const copy = mkdtempSync(join(folder, 'broken-'));
    make(join(copy, 'weir_services4.json'));
    return copy;
  };
  const list = (maps: string, name = 'lb'): Promise<CliRun> => weir(['bpf', name, 'list', '--maps', maps]);

  it('the lines of the maps that they were taken of', async () => {
    assert.equal((await list(dump)).stdout, (await compiled()).stdout);
    for (const name of LISTS) assert.equal((await list(dump, name)).code, 0, name);
    const link = join(folder, 'link');
    symlinkSync(dump, link);
    assert.equal((await list(link)).stdout, (await list(dump)).stdout);
  });
  it('a folder that nobody wrote maps to is no empty dataplane', async () => {
    const empty = join(folder, 'empty');
    mkdirSync(empty);
    for (const path of [empty, '/', join(folder, 'nothing'), manifests]) {
      const run = await list(path);
      assert.deepEqual([run.code, run.stdout], [2, ''], path);
      assert.match(run.stderr, /^weir: --maps .+\n$/);
    }
  });
  const text = (): string => readFileSync(join(dump, 'weir_services4.json'), 'utf8');
  const cases: readonly (readonly [string, (path: string) => void, RegExp])[] = [
    ['cut', (path) => writeFileSync(path, text().slice(0, 400)), /not JSON/],
    ['empty', (path) => writeFileSync(path, ''), /not JSON/],
    ['of another map', (path) => writeFileSync(path, text().replace('weir_services4', 'weir_nat4')), /no dump of/],
    ['of another version', (path) => writeFileSync(path, text().replaceAll('"key":"', '"key":"00')), /another version/],
    ['no hexadecimal', (path) => writeFileSync(path, text().replace(/"key":"../, '"key":"zz')), /no entry of/],
    [
      'entries that are none',
      (path) => writeFileSync(path, '{"map":"weir_services4","entries":[null]}'),
      /no entry of/,
    ],
    ['null', (path) => writeFileSync(path, 'null'), /no dump of/],
    ['a folder', (path) => void mkdirSync(path), /is no file/],
    ['a pipe that nobody writes to', (path) => void execFileSync('mkfifo', [path]), /is no file/],
    ['a link to a device without an end', (path) => symlinkSync('/dev/zero', path), /is no file/],
  ];
  for (const [name, make, wanted] of cases) {
    it(`a file that is broken: ${name}`, async () => {
      const run = await list(broken(make));
      assert.deepEqual([run.code, run.stdout], [2, '']);
      assert.match(run.stderr, /^weir: [^\n]*weir_services4\.json: [^\n]+\n$/);
      assert.match(run.stderr, wanted);
    });
  }
  it('a link that leads nowhere is a map that is empty', async () => {
    const copy = broken((path) => symlinkSync(join(folder, 'nowhere'), path));
    writeFileSync(join(copy, 'weir_config.json'), readFileSync(join(dump, 'weir_config.json')));
    assert.equal((await list(copy)).code, 0);
    unlinkSync(join(copy, 'weir_services4.json'));
  });
});
