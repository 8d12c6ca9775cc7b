/** Envoy's bootstrap as JSON or YAML text. Unknown fields are refused by protobuf's JSON mapping itself. */
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { parse } from "yaml";
import { type Bootstrap, BootstrapSchema } from "#wire/envoy/gen/envoy/config/bootstrap/v3/bootstrap_pb.ts";
import { envoyRegistry } from "#wire/envoy/gen/registry.ts";
import { ConfigProblem } from "#decide/config-problem.ts";
import { refuseUnsupported } from "./refuse-unsupported.ts";

export function readBootstrap(text: string): Bootstrap {
  let json: JsonValue;
  try {
    json = parse(text, { maxAliasCount: 100 }) as JsonValue;
  } catch (error) {
    throw new ConfigProblem("bootstrap", error instanceof Error ? error.message : String(error));
  }
  if (typeof json !== "object" || json === null) throw new ConfigProblem("bootstrap", "is empty; give an Envoy bootstrap as YAML or JSON");
  let bootstrap: Bootstrap;
  try {
    bootstrap = fromJson(BootstrapSchema, json, { registry: envoyRegistry });
  } catch (error) {
    throw new ConfigProblem("bootstrap", error instanceof Error ? error.message : String(error));
  }
  refuseUnsupported(BootstrapSchema, bootstrap, "");
  return bootstrap;
}
