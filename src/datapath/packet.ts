// What a hook is given: a packet (bytes and where they lie) and its meta. Both are made once and filled again.
// Input: the caller's buffer and numbers. Output: the same, rewritten in place by the hook.
// Invariant: every numeric field is an int32; nothing here is kept by the datapath beyond one run.

const NO_BYTES = new Uint8Array(0);

/** One packet. The hook rewrites `bytes` in place; the caller copies first if the original is wanted. */
export class Packet {
  /** Buffer that holds the frame, perhaps among others. */
  bytes: Uint8Array = NO_BYTES;
  /** Absolute offset of the frame's first byte. */
  offset = 0;
  /** Absolute offset behind the last captured byte; clamped to the buffer by the run. */
  capturedEnd = 0;
  /** Absolute offset behind the last byte that was on the wire; may lie behind the buffer. */
  wireEnd = 0;
  /** LINKTYPE_* number; 1 = Ethernet. */
  linkType = 1;
  /** Whole seconds since start. Earlier than the packet before counts as equally late. */
  seconds = 0;
  /** Nanoseconds within the second. */
  nanoseconds = 0;

  /** Points this packet at a whole frame that fills `bytes`, Ethernet, at the given time. */
  set(bytes: Uint8Array, seconds = 0, nanoseconds = 0, linkType = 1): this {
    return this.view(bytes, 0, bytes.length, bytes.length, linkType, seconds, nanoseconds);
  }

  /** Points this packet at a frame inside a larger buffer. Offsets are absolute. */
  view(
    bytes: Uint8Array,
    offset: number,
    capturedEnd: number,
    wireEnd: number,
    linkType: number,
    seconds: number,
    nanoseconds: number,
  ): this {
    this.bytes = bytes;
    this.offset = offset;
    this.capturedEnd = capturedEnd;
    this.wireEnd = wireEnd;
    this.linkType = linkType;
    this.seconds = seconds;
    this.nanoseconds = nanoseconds;
    return this;
  }
}

/**
 * What comes and goes with a packet besides its bytes (`weir_meta`). A hook writes what the next hook of the same packet reads
 * (`mark`, `cb0`, `xdpMetadata`, `flags`); for the next packet it must be reset.
 */
export class Meta {
  /** Interface that it arrived on; 0 = unknown, checks against it are skipped. */
  ifindex = 0;
  /** skb mark: 0xC00 = from the host; 0xF00 = identity, its low 16 bits in the mark's high half, bits 16..23 in its low byte. */
  mark = 0;
  /** Endpoint whose bandwidth limit applies when the packet leaves, 0 = none (in real traffic the queue mapping). */
  cb0 = 0;
  cb1 = 0;
  cb2 = 0;
  cb3 = 0;
  cb4 = 0;
  /** XDP metadata word; bit 0 = service lookup done. */
  xdpMetadata = 0;
  /** Segment size of a GSO packet, 0 = none. */
  gsoSize = 0;
  /** META_FLAG bits. */
  flags = 0;

  /** All zero. */
  reset(): this {
    this.ifindex = 0;
    this.mark = 0;
    this.cb0 = 0;
    this.cb1 = 0;
    this.cb2 = 0;
    this.cb3 = 0;
    this.cb4 = 0;
    this.xdpMetadata = 0;
    this.gsoSize = 0;
    this.flags = 0;
    return this;
  }
}
