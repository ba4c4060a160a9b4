// The work of the capture benchmark: every packet of a capture read and its headers parsed.
// Input: a path. Output: packets, and a sum over their ports, so that nothing can be left out.
// As a program (node dist/bench/capture-reader.js FILE), it does so once and prints both: what a whole process costs.
import './v8-flags.ts';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { openCapture } from '../src/capture/file/index.ts';
import { Headers, parseFrame, WIRE } from '../src/wire/index.ts';

const OK = WIRE.OK;

/** What was found in a capture. `ports` is the int32 sum of the raw ports of all packets whose headers are whole. */
export interface CaptureSum {
  readonly packets: number;
  readonly ports: number;
}

/** Reads a capture with its headers. Throws where it is damaged: a benchmark of half a file is none. */
export async function sumCapture(path: string): Promise<CaptureSum> {
  const capture = await openCapture(path);
  const headers = new Headers();
  let ports = 0;
  do {
    while (capture.next()) {
      const at = capture.offset;
      const status = parseFrame(
        headers,
        capture.linkType,
        capture.bytes,
        at,
        at + capture.capturedBytes,
        at + capture.wireBytes,
      );
      if (status === OK) ports = (ports + headers.ports) | 0;
    }
  } while (await capture.fill());
  await capture.close();
  if (capture.error !== undefined) throw new Error(`${path}: ${capture.error.message}`);
  return { packets: capture.number, ports };
}

const path = process.argv[2];
if (path !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) {
  process.stdout.write(`${JSON.stringify(await sumCapture(path))}\n`);
}
