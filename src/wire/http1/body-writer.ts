/** Writes one message's body after its head: by length, by chunks, or bare. */
import type { HeaderBlock } from "#wire/http/header-block.ts";
import type { ByteOutput } from "#wire/http/byte-output.ts";

/** Above this many unsent bytes a sender is told to stop. Envoy: per_connection_buffer_limit_bytes, 1 MiB by default; lower keeps latency. */
const HIGH_WATER_BYTES = 256 * 1024;

export class BodyWriter {
  chunked = false;
  /** The receiver must see no body (HEAD, 204, 304): what comes is dropped. */
  silent = false;

  begin(chunked: boolean, silent: boolean): void {
    this.chunked = chunked;
    this.silent = silent;
  }

  /** False when the sender should wait. */
  write(output: ByteOutput, bytes: Uint8Array, start: number, end: number): boolean {
    if (this.silent || start === end) return true;
    if (this.chunked) output.write(`${(end - start).toString(16)}\r\n`);
    output.writeBorrowed(bytes, start, end);
    if (this.chunked) output.write("\r\n");
    return output.bufferedBytes < HIGH_WATER_BYTES;
  }

  end(output: ByteOutput, trailers: HeaderBlock | undefined): void {
    if (!this.chunked || this.silent) return;
    output.write("0\r\n");
    trailers?.writeTo(output);
    output.write("\r\n");
  }
}
