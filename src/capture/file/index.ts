// The door of capture's files: what needs node:*.
export { CaptureOpenError, openCapture } from './open.ts';
export { createSink, type FileSink } from './sink.ts';
