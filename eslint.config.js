// Lint rules, and the boundaries between rooms: who may import whom, with the right door named in each refusal.
import tseslint from 'typescript-eslint';
import importX from 'eslint-plugin-import-x';

/** Which rooms each room of src/ may import. Anything not listed is refused. */
const doors = {
  layout: { may: [], door: 'layout describes structs and imports nothing' },
  schema: { may: ['layout'], door: 'the schema is the contract: it may import layout only' },
  wire: { may: [], door: 'wire holds protocols: views over bytes, nothing else' },
  maps: { may: ['layout', 'schema'], door: 'maps know bytes and specs, never packets or manifests' },
  datapath: {
    may: ['wire', 'schema', 'maps', 'layout'],
    door: 'the datapath never sees a manifest: control compiles it into maps',
  },
  control: {
    may: ['schema', 'maps', 'layout'],
    door: 'control never sees an engine: return MapWrite[] and let the caller apply them',
  },
  dataplane: {
    may: ['wire', 'schema', 'maps', 'layout', 'datapath'],
    door: 'a dataplane owns maps and runs the datapath; manifests reach it as MapWrite[]',
  },
  capture: {
    may: ['wire'],
    door: 'capture reads and writes files of packets; what a packet means is replay’s business',
  },
  flow: { may: ['schema', 'wire', 'layout'], door: 'a printer never sees a map: it is given flow records' },
  replay: {
    may: ['wire', 'schema', 'maps', 'layout', 'datapath', 'control', 'dataplane', 'capture', 'flow'],
    door: 'replay joins capture, control and a dataplane; it never prints',
  },
};
const rooms = Object.keys(doors);
const zones = rooms.flatMap((room) => [
  {
    target: `./src/${room}`,
    from: './src',
    except: [room, ...doors[room].may].map((r) => `./${r}`),
    message: doors[room].door,
  },
]);
zones.push(
  {
    target: './src/dataplane/sim',
    from: './src/dataplane/xdp',
    message: 'the engines never import each other: put what both need into dataplane/',
  },
  {
    target: './src/dataplane/xdp',
    from: './src/dataplane/sim',
    message: 'the engines never import each other: put what both need into dataplane/',
  },
  { target: './src', from: './test', message: 'product code does not import tests' },
  { target: './src', from: './bench', message: 'product code does not import benchmarks' },
);

const noTry = {
  selector: 'TryStatement',
  message: 'Traffic never throws: return a numbered drop instead of catching',
};

export default tseslint.config(
  { ignores: ['dist/**', 'build/**', '.build/**', 'node_modules/**', 'docs/api/**', '**/*.gen.ts'] },
  ...tseslint.configs.strict,
  {
    files: ['**/*.ts'],
    plugins: { 'import-x': importX },
    rules: {
      'import-x/no-restricted-paths': ['error', { zones }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-extraneous-class': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-implied-eval': 'error',
      eqeqeq: ['error', 'always'],
      'no-console': 'error',
      'no-proto': 'error',
    },
  },
  {
    // The core also runs in a browser: node:* belongs in cli, capture/file, control/load and the xdp engine.
    files: ['src/**/*.ts'],
    ignores: ['src/cli/**', 'src/capture/file/**', 'src/control/load/**', 'src/dataplane/xdp/**'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              group: ['node:*'],
              message:
                'node:* belongs in cli, capture/file, control/load and dataplane/xdp; the core runs in a browser too',
            },
          ],
        },
      ],
      'no-restricted-globals': [
        'error',
        { name: 'process', message: 'only cli reads the process' },
        { name: 'Buffer', message: 'use Uint8Array: the core runs in a browser too' },
      ],
    },
  },
  {
    files: ['src/wire/**/*.ts', 'src/datapath/**/*.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        noTry,
        { selector: 'ThrowStatement', message: 'Traffic never throws: return a numbered drop' },
      ],
    },
  },
  {
    files: ['test/**/*.ts', 'bench/**/*.ts', 'scripts/**', 'src/cli/**/*.ts', 'fixtures/**'],
    rules: { 'no-console': 'off' },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'it', property: 'only' },
        { object: 'test', property: 'only' },
        { object: 'describe', property: 'only' },
      ],
    },
  },
);
