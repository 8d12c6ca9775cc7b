/** Joins two connections: what one receives the other sends, with back-pressure, half-close and errors passed on. */
import type { Connection, ConnectionHandler } from "#host/net.ts";

/** Above this many unsent bytes the other side is not read any more. */
const HIGH_WATER_BYTES = 256 * 1024;

/** The handler of `from`, whose bytes go to `to()`; both sides need one. */
export function spliceHandler(from: () => Connection, to: () => Connection): ConnectionHandler {
  return {
    onData(bytes) {
      const target = to();
      target.writeBorrowed(bytes);
      if (target.bufferedBytes > HIGH_WATER_BYTES) from().pause();
    },
    onEnd() {
      to().end();
    },
    onDrain() {
      to().resume();
    },
    onClose(error) {
      to().destroy(error !== undefined);
    },
  };
}
