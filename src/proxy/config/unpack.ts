/** Extensions are `Any`: found by their type, never by name. */
import { anyUnpack, type Any } from "@bufbuild/protobuf/wkt";
import type { Message } from "@bufbuild/protobuf";
import { envoyRegistry } from "#wire/envoy/gen/registry.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";

export function unpack(any: Any | undefined, path: string): Message {
  if (any === undefined) throw new ConfigProblem(path, "is missing");
  const message = anyUnpack(any, envoyRegistry);
  if (message === undefined) throw new ConfigProblem(path, `${any.typeUrl}: ${NOT_SUPPORTED}`);
  return message;
}
