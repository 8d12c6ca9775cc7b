import type { Duration } from "@bufbuild/protobuf/wkt";

/** Milliseconds; undefined when the field is not set. */
export function durationMs(duration: Duration | undefined): number | undefined {
  return duration === undefined ? undefined : Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}
