// Traffic of the lab: nginx that says who it is, curl from chosen ports, tcpdump. Input: a Network. Output: answers, captures.
// Invariant: servers and recorders are ready when their function resolves; a recorder that lost frames is an error.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Network, type Running, until } from './network.ts';

/** Starts nginx in the foreground; it answers with its name, the client's address and port, and its own. */
export async function serve(
  network: Network,
  machine: string,
  folder: string,
  listen: readonly string[],
): Promise<Running> {
  const own = join(folder, `nginx-${machine}`);
  mkdirSync(own);
  const file = join(own, 'nginx.conf');
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${join(own, name)};`,
  );
  writeFileSync(
    file,
    `daemon off; master_process off; worker_processes 1;
pid ${join(own, 'pid')};
error_log stderr warn;
events { worker_connections 256; }
http {
  access_log off; default_type text/plain; keepalive_timeout 0;
  ${paths.join(' ')}
  server {
    ${listen.map((address) => `listen ${address};`).join(' ')}
    location / { return 200 "${machine} $remote_addr $remote_port $server_addr $server_port\\n"; }
  }
}
`,
  );
  const server = network.start(machine, 'nginx', '-p', own, '-e', 'stderr', '-c', file);
  const ports = new Set(listen.map((address) => Number(address.slice(address.lastIndexOf(':') + 1))));
  await until(`nginx in ${machine}`, server, () => {
    const sockets = network.run(machine, 'ss', '-Hltn');
    return [...ports].every((port) => sockets.includes(`:${port} `));
  });
  return server;
}

/** What came of one connection: the answer's words, or undefined and curl's exit status. */
export interface Fetched {
  readonly port: number;
  readonly status: number;
  readonly server?: string;
  readonly client?: string;
  readonly clientPort?: number;
  readonly address?: string;
  readonly serverPort?: number;
}

/** curl's exit status of a connection that nobody answered in time. */
export const TIMED_OUT = 28;

const SCRIPT = `url=$1; seconds=$2; bytes=$3; shift 3
for port in "$@"; do
  answer=$(head -c "$bytes" /dev/zero | tr '\\0' x |
    curl -q -sS --noproxy '*' -g --max-time "$seconds" --local-port "$port" -X GET -H Expect: -d @- "$url" 2>/dev/null)
  status=$?
  echo "$port $status $answer"
  test $status -eq 0 || break
done`;

/** Opens a connection from each of the ports, one after the other, up to the first that fails. `seconds`: how long each may take; `bytes`: of the request's body. */
export async function fetchFrom(
  network: Network,
  machine: string,
  url: string,
  ports: readonly number[],
  seconds = 5,
  bytes = 0,
): Promise<Fetched[]> {
  const client = network.start(
    machine,
    'sh',
    '-c',
    SCRIPT,
    'sh',
    url,
    String(seconds),
    String(bytes),
    ...ports.map(String),
  );
  const { output } = await client.ended;
  return output
    .trim()
    .split('\n')
    .map((line) => {
      const [port, status, server, address, clientPort, serverAddress, serverPort] = line.split(' ');
      const fetched = { port: Number(port), status: Number(status) };
      if (server === undefined || server === '') return fetched;
      return {
        ...fetched,
        server,
        client: address!,
        clientPort: Number(clientPort),
        address: serverAddress!,
        serverPort: Number(serverPort),
      };
    });
}

/** A recording in progress. */
export interface Recording {
  readonly file: string;
  /** Ends it; the file is whole then. */
  stop(): Promise<void>;
}

/** What a recorder takes: frames of one direction as the recorded interface sees it, those of a filter. */
export interface RecordOptions {
  readonly direction?: 'in' | 'out' | 'inout';
  readonly filter?: string;
}

/** Records an interface with tcpdump into a file of `folder`. */
export async function record(
  network: Network,
  machine: string,
  device: string,
  folder: string,
  { direction = 'inout', filter = 'tcp' }: RecordOptions = {},
): Promise<Recording> {
  const file = join(folder, `${machine}-${device}-${direction}.pcap`);
  // Room for the largest segment, and for some hundred of them: a busy machine lets tcpdump wait.
  const room = ['-s', '66000', '-B', '32768'];
  const args = ['-n', '-i', device, '-Q', direction, '-w', file, '-U', '--immediate-mode', '-Z', 'root', ...room];
  const recorder = network.start(machine, 'tcpdump', ...args, '--time-stamp-precision=nano', filter);
  await until(`tcpdump in ${machine}`, recorder, () => recorder.told().includes('listening on'));
  return {
    file,
    async stop() {
      // What the kernel has taken is read before the end: tcpdump polls once more.
      await new Promise((resolve) => setTimeout(resolve, 100));
      await network.stop(recorder, 'SIGINT');
      const lost = /(\d+) packets? dropped by kernel/.exec(recorder.told());
      if (lost === null || lost[1] !== '0') throw new Error(`tcpdump in ${machine}: ${recorder.told()}`);
    },
  };
}
