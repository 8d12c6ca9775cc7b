/** The object and field that a part of the configuration came from: filter metadata "weft.dev", field "by". */
import type { Metadata } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";

export function provenanceOf(metadata: Metadata | undefined): string | undefined {
  const by = metadata?.filterMetadata["weft.dev"]?.["by"];
  return typeof by === "string" ? by : undefined;
}
