// The door of capture's files: what needs node:*.
export { CaptureOpenError, openCapture, type OpenCaptureOptions } from './open.ts';
export { createSink, type FileSink } from './sink.ts';
