// Prints how many packets standard input holds, and the error: run as a process of its own by the tests of capture/file.
import { openCapture } from '../../src/capture/file/index.ts';

const reader = await openCapture('-', { bufferBytes: 256 });
let count = 0;
do while (reader.next()) count++;
while (await reader.fill());
await reader.close();
console.log(`${count} ${reader.error?.message}`);
