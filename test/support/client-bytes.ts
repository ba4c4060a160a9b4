// What real clients send: Node's own HTTP/2 and TLS clients talking to a listener that only records. In: what to ask for.
// Out: the bytes in order. Invariant: loopback only; nothing is left open.
import http2 from 'node:http2';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import tls from 'node:tls';

/** Records what arrives until it is quiet; `answer` is called for each piece. */
async function recorded(
  talk: (port: number) => Promise<() => void>,
  answer: (socket: Socket, all: Buffer) => void,
  until: (all: Buffer) => boolean,
): Promise<Uint8Array> {
  let all = Buffer.alloc(0);
  let done!: () => void;
  const whole = new Promise<void>((resolve) => (done = resolve));
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      all = Buffer.concat([all, chunk]);
      answer(socket, all);
      if (until(all)) done();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = await talk((server.address() as AddressInfo).port);
  await whole;
  close();
  server.close();
  return new Uint8Array(all);
}

/** An HTTP/2 client's side of a connection that asks for each of these, one after the other. */
export async function http2ClientBytes(
  requests: readonly http2.OutgoingHttpHeaders[],
  body?: Uint8Array,
): Promise<Uint8Array> {
  // An empty SETTINGS frame and the acknowledgement of the client's.
  const settings = Buffer.from('000000040000000000' + '000000040100000000', 'hex');
  let greeted = false;
  return recorded(
    (port) => {
      const session = http2.connect(`http://127.0.0.1:${port}`);
      session.on('error', () => undefined);
      for (const [i, headers] of requests.entries()) {
        const last = i === requests.length - 1;
        const stream = session.request(headers, { endStream: !last || body === undefined });
        stream.on('error', () => undefined);
        if (last && body !== undefined) stream.end(body);
      }
      // A ping at the end tells the listener that everything was sent.
      session.once('remoteSettings', () => session.ping(Buffer.from('the-end!'), () => undefined));
      return Promise.resolve(() => session.destroy());
    },
    (socket) => {
      if (!greeted) socket.write(settings);
      greeted = true;
    },
    (all) => all.includes('the-end!') && (body === undefined || all.includes(Buffer.from(body.slice(-8)))),
  );
}

/** A TLS client's first flight. */
export function tlsHelloBytes(
  serverName: string | undefined,
  options: tls.ConnectionOptions = {},
): Promise<Uint8Array> {
  return recorded(
    (port) => {
      const socket = tls.connect({
        host: '127.0.0.1',
        port,
        rejectUnauthorized: false,
        ...(serverName === undefined ? {} : { servername: serverName }),
        ...options,
      });
      socket.on('error', () => undefined);
      return Promise.resolve(() => socket.destroy());
    },
    () => undefined,
    (all) => all.length > 5 && all.length >= 5 + all.readUInt16BE(3),
  );
}
