// Lint rules, and the boundaries between rooms: who may import whom, with the right door named in each refusal.
import tseslint from 'typescript-eslint';

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
  l7: {
    may: ['schema', 'control', 'flow'],
    door: 'l7 reads and judges payloads; which connections carry them is replay’s business',
  },
  replay: {
    may: ['wire', 'schema', 'maps', 'layout', 'datapath', 'control', 'dataplane', 'capture', 'flow'],
    door: 'replay joins capture, control and a dataplane; it never prints',
  },
  analysis: {
    may: ['wire', 'schema', 'maps', 'layout', 'datapath', 'control', 'flow'],
    door: 'analysis asks compiled state by the datapath’s own lookups; it runs no engine and reads no capture',
  },
};
const rooms = Object.keys(doors);
const node = {
  group: ['node:*'],
  message: 'node:* belongs in cli, capture/file, control/load, dataplane/xdp and l7; the core runs in a browser too',
};
/** Folders inside rooms that may talk to the machine. */
const machine = ['src/capture/file/**', 'src/control/load/**', 'src/dataplane/xdp/**', 'src/l7/**'];

/** A refusal of imports from `names`, as relative specifiers reach them from any depth of a room. */
const refuse = (names, message) => ({ regex: `^(?:\\.\\./)+(?:${names.join('|')})(?:/|$)`, message });
const restricted = (patterns) => ({ rules: { 'no-restricted-imports': ['error', { patterns }] } });
const boundaries = rooms.flatMap((room) => {
  const refused = [...rooms, 'cli', 'test', 'bench'].filter((name) => name !== room && !doors[room].may.includes(name));
  const door = [refuse(refused, doors[room].door)];
  return [
    { files: [`src/${room}/**/*.ts`], ...restricted([...door, node]) },
    { files: machine.filter((path) => path.startsWith(`src/${room}/`)), ...restricted(door) },
  ].filter(({ files }) => files.length > 0);
});
const engines = 'the engines never import each other: put what both need into dataplane/';
boundaries.push(
  {
    files: ['src/dataplane/sim/**/*.ts'],
    ...restricted([
      node,
      refuse(['xdp'], engines),
      refuse(['control', 'capture', 'flow', 'replay', 'cli'], doors.dataplane.door),
    ]),
  },
  {
    files: ['src/cli/**/*.ts', 'src/index.ts', 'src/xdp.ts'],
    ...restricted([refuse(['test', 'bench'], 'product code does not import tests or benchmarks')]),
  },
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
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      // An import of types alone must vanish from what is compiled: otherwise it loads modules and makes cycles.
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-extraneous-class': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-implied-eval': 'error',
      eqeqeq: ['error', 'always'],
      'no-console': 'error',
      'no-proto': 'error',
    },
  },
  ...boundaries,
  {
    files: ['src/**/*.ts'],
    ignores: ['src/cli/**', ...machine],
    rules: {
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
