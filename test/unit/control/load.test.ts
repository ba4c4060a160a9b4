// Loading from files, directories and standard input.
import { after, test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, existsSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadManifests, loadText, type LoadOptions } from '../../../src/control/load/index.ts';
import { displayName, listManifestFiles } from '../../../src/control/load/manifest-files.ts';
import { defaultLimits } from '../../../src/control/manifest/index.ts';
import { formatProblem } from '../../../src/control/problem.ts';
import { POLICY_CASES } from '../../support/repository.ts';

const made: string[] = [];
after(() => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true });
});

/** A directory with these files; a value that starts with `->` makes a symbolic link. */
function directory(files: { readonly [name: string]: string | Uint8Array }): string {
  const root = mkdtempSync(path.join(tmpdir(), 'weir load-'));
  made.push(root);
  for (const [name, content] of Object.entries(files)) {
    const full = path.join(root, name);
    mkdirSync(path.dirname(full), { recursive: true });
    if (typeof content === 'string' && content.startsWith('->')) symlinkSync(content.slice(2), full);
    else writeFileSync(full, content);
  }
  return root;
}

const pod = (name: string): string => `apiVersion: v1\nkind: Pod\nmetadata:\n  name: ${name}\n`;

async function load(paths: readonly string[], options: LoadOptions = {}) {
  const { state, problems } = await loadManifests(paths, options);
  return { pods: state?.pods.map((p) => `${p.name} ${p.origin.file}`), problems: problems.map(formatProblem) };
}

async function* stream(...chunks: (string | Uint8Array)[]): AsyncGenerator<string | Uint8Array> {
  yield* chunks;
}

test('a directory: recursive, bytewise order, known extensions, names with blanks', async () => {
  const root = directory({
    'b.yaml': pod('b'),
    'a/z.yml': pod('z'),
    'a.json': '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"j"}}',
    'a/with blank.YAML': pod('w'),
    'é.yaml': pod('e'),
    'B.yaml': pod('upper'),
    'note.txt': 'x: [',
    '.git/x.yaml': 'x: [',
    'a/.hidden.yaml': 'x: [',
  });
  assert.deepEqual(await load([root]), {
    pods: [
      `upper ${root}/B.yaml`,
      `j ${root}/a.json`,
      `w ${root}/a/with blank.YAML`,
      `z ${root}/a/z.yml`,
      `b ${root}/b.yaml`,
      `e ${root}/é.yaml`,
    ],
    problems: [],
  });
  // A final separator is not doubled.
  assert.deepEqual((await load([`${root}/a/`])).pods, [`w ${root}/a/with blank.YAML`, `z ${root}/a/z.yml`]);
});

test('a named file is read whatever it is called, and only once', async () => {
  const root = directory({ 'pods.txt': pod('a') });
  const file = `${root}/pods.txt`;
  assert.deepEqual(await load([file, `${root}/./pods.txt`]), { pods: [`a ${file}`], problems: [] });
});

test('symbolic links: inside they are followed, outside they are not, cycles are harmless', async (t) => {
  const outside = directory({ 'secret.yaml': pod('secret') });
  let root: string;
  try {
    root = directory({
      'real/a.yaml': pod('a'),
      'z-link.yaml': '->real/a.yaml',
      loop: '->.',
      'real/up': '->..',
      'out.yaml': `->${outside}/secret.yaml`,
      outdir: `->${outside}`,
      'gone.yaml': '->nowhere',
      'self.yaml': '->self.yaml',
      '..2026/b.yaml': pod('b'),
      'b.yaml': '->..2026/b.yaml',
    });
  } catch {
    t.skip('symbolic links cannot be made here');
    return;
  }
  const { pods, problems } = await load([root]);
  assert.deepEqual(pods, [`b ${root}/b.yaml`, `a ${root}/real/a.yaml`]);
  assert.deepEqual(problems, [
    `${root}/gone.yaml: symbolic link not followed: no such file or directory`,
    `${root}/out.yaml: symbolic link not followed: it leads out of the directory`,
    `${root}/outdir: symbolic link not followed: it leads out of the directory`,
    `${root}/self.yaml: symbolic link not followed: too many symbolic links`,
  ]);
});

test('standard input', async () => {
  const text = new TextEncoder().encode(`# é\n${pod('a')}`);
  // A chunk may end inside a character.
  assert.deepEqual(await load(['-', '-'], { stdin: stream(text.slice(0, 3), text.slice(3)) }), {
    pods: ['a -'],
    problems: [],
  });
  assert.deepEqual(
    (await load(['-'], { stdin: stream('x: [1') })).problems.map((p) => p.slice(0, 4)),
    ['-:1:'],
  );
});

test('nothing is half applied, and every file’s problems are listed', async () => {
  const root = directory({
    'a.yaml': pod('a'),
    'b.yaml': 'kind: [',
    'c.yaml': `${pod('c')}  labels: {x: 1}\n`,
    'd.yaml': pod('a'),
  });
  const { state, problems } = await loadManifests([root, `${root}/missing.yaml`]);
  assert.equal(state, undefined);
  assert.deepEqual(
    problems.map((p) => [path.posix.basename(p.file), p.line]),
    [
      ['missing.yaml', 0],
      ['b.yaml', 1],
      ['c.yaml', 5],
      ['d.yaml', 1],
    ],
  );
  assert.match(formatProblem(problems[3]!), /duplicate Pod default\/a: first at .*\/a\.yaml:1:1$/);
});

test('what is no manifest in a directory is a warning, in a named file an error', async () => {
  const root = directory({ 'a.yaml': pod('a'), 'values.yaml': 'replicas: 3\n' });
  const { state, problems } = await loadManifests([root]);
  assert.equal(state?.pods.length, 1);
  assert.deepEqual(
    problems.map((p) => p.severity),
    ['warning'],
  );
  assert.equal((await loadManifests([`${root}/values.yaml`])).state, undefined);
});

test('what cannot be read: missing, empty directories, too large, not text', async () => {
  const root = directory({
    'big.yaml': pod('a').padEnd(300),
    'latin.yaml': Uint8Array.of(0x23, 0x0a, 0x78, 0xe9, 0x0a),
    'empty/x.txt': '',
    'nul.yaml': Uint8Array.of(0x61, 0x3a, 0x20, 0x00),
  });
  const limits = { ...defaultLimits, fileBytes: 200 };
  assert.deepEqual((await load([`${root}/no`, `${root}/big.yaml/x`], { limits })).problems, [
    `${root}/no: no such file or directory`,
    `${root}/big.yaml/x: a part of the path is not a directory`,
  ]);
  assert.deepEqual((await load([`${root}/empty`])).problems, [
    `${root}/empty: no .yaml, .yml or .json file in this directory`,
  ]);
  assert.deepEqual(
    (await load([`${root}/big.yaml`, '-'], { limits, stdin: stream('x'.repeat(150), 'y'.repeat(51)) })).problems,
    [`${root}/big.yaml: larger than 200 bytes`, '-: larger than 200 bytes'],
  );
  assert.deepEqual((await load([`${root}/latin.yaml`])).problems, [`${root}/latin.yaml:2:2: not UTF-8 text`]);
  assert.deepEqual(
    (await load([root], { limits: { ...defaultLimits, files: 2 } })).problems[0],
    `${root}: more than 2 files in one directory`,
  );
  assert.equal((await load([`${root}/nul.yaml`])).pods, undefined);
});

test('UTF-16 with its mark, as PowerShell writes it, and UTF-8 with one', async () => {
  const text = pod('a').replaceAll('\n', '\r\n');
  const little = new Uint8Array(Buffer.from(`\ufeff${text}`, 'utf16le'));
  const big = new Uint8Array(Buffer.from(little).swap16());
  const root = directory({ 'big.yaml': big, 'little.yaml': little, 'utf8.yaml': `\ufeff${text}` });
  for (const name of ['big', 'little', 'utf8'])
    assert.deepEqual((await load([`${root}/${name}.yaml`])).pods, [`a ${root}/${name}.yaml`], name);
});

test('Windows: names keep their form, with slashes', async () => {
  assert.equal(displayName('net\\policies\\a.yaml', path.win32), 'net/policies/a.yaml');
  assert.equal(displayName('C:\\net\\a.yaml', path.win32), 'C:/net/a.yaml');
  assert.equal(displayName('\\\\server\\share\\a.yaml', path.win32), '//server/share/a.yaml');
  assert.equal(displayName('odd\\name.yaml', path.posix), 'odd\\name.yaml');
  const root = directory({ 'sub/a.yaml': pod('a') });
  // A directory under Windows' rules: what the user wrote is turned, what the walk adds has slashes already.
  const { files } = await listManifestFiles([`${root}/.`], defaultLimits, path.win32);
  assert.deepEqual(
    files.map((f) => f.name),
    [`${root}/./sub/a.yaml`],
  );
});

test('loadText reads one file with the same care', async () => {
  const root = directory({ 'values.yaml': 'a: 1\n' });
  assert.deepEqual(await loadText(`${root}/values.yaml`), { text: 'a: 1\n' });
  assert.deepEqual(await loadText('-', { stdin: stream('b: 2') }), { text: 'b: 2' });
  assert.deepEqual(await loadText(`${root}/none`), {
    problem: { severity: 'error', file: `${root}/none`, line: 0, column: 0, message: 'no such file or directory' },
  });
});

const cases = POLICY_CASES;

test(
  'published policy cases load without errors',
  { skip: existsSync(cases) ? false : `${cases} is missing (set WEIR_POLICY_CASES)` },
  async () => {
    let loaded = 0;
    for (const name of readdirSync(cases)) {
      const files = ['manifests.yaml', 'policies.yaml'].map((file) => path.join(cases, name, file));
      if (!files.every((file) => existsSync(file))) continue;
      const { state, problems } = await loadManifests(files);
      assert.ok(state !== undefined, `${name}: ${problems.map(formatProblem).join('\n')}`);
      assert.ok(
        problems.every((p) => / is not read; /.test(p.message)),
        `${name}: ${problems.map(formatProblem).join('\n')}`,
      );
      loaded++;
    }
    assert.ok(loaded > 0);
  },
);
